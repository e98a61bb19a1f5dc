package catalog

import "time"

// Filter is a condition on products. Its types are And, Or, Not, Compare,
// TitleContains, LabelEquals and HasLabel; each may stand inside another.
type Filter interface{ isFilter() }

// And holds where all parts do.
type And []Filter

// Or holds where any part does.
type Or []Filter

// Not holds where its part does not.
type Not struct{ Filter Filter }

// Compare compares a field with a value of the field's type.
type Compare struct {
	Field FilterField
	Op    Op
	Value Value
}

// TitleContains holds where the title has the text in it, in any case.
type TitleContains struct{ Text string }

// LabelEquals holds where the label exists and has the value.
type LabelEquals struct{ Key, Value string }

// HasLabel holds where the label exists.
type HasLabel struct{ Key string }

func (And) isFilter()           {}
func (Or) isFilter()            {}
func (Not) isFilter()           {}
func (Compare) isFilter()       {}
func (TitleContains) isFilter() {}
func (LabelEquals) isFilter()   {}
func (HasLabel) isFilter()      {}

// FilterField is a field that Compare takes.
type FilterField string

// The fields, named as in the API, with the type of their values.
const (
	FilterSKU        FilterField = "sku"                 // text
	FilterTitle      FilterField = "title"               // text
	FilterState      FilterField = "state"               // text
	FilterCurrency   FilterField = "price.currency_code" // text
	FilterUnits      FilterField = "price.units"         // integer
	FilterCreateTime FilterField = "create_time"         // time
	FilterUpdateTime FilterField = "update_time"         // time
)

// Op is a comparison.
type Op string

// The comparisons.
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
)

// Value is a constant in a filter: the one of its fields that the compared
// field's type says.
type Value struct {
	Text    string
	Integer int64
	Time    time.Time
}
