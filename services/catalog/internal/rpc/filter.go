package rpc

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

// filterParser reads AIP-160 filters.
type filterParser struct{ declarations *filtering.Declarations }

const labelsField = "labels"

func newFilterParser() (*filterParser, error) {
	declarations, err := filtering.NewDeclarations(
		filtering.DeclareStandardFunctions(),
		filtering.DeclareIdent(string(catalog.FilterSKU), filtering.TypeString),
		filtering.DeclareIdent(string(catalog.FilterTitle), filtering.TypeString),
		filtering.DeclareIdent(string(catalog.FilterCurrency), filtering.TypeString),
		filtering.DeclareIdent(string(catalog.FilterUnits), filtering.TypeInt),
		filtering.DeclareIdent(string(catalog.FilterCreateTime), filtering.TypeTimestamp),
		filtering.DeclareIdent(string(catalog.FilterUpdateTime), filtering.TypeTimestamp),
		filtering.DeclareIdent(labelsField, filtering.TypeMap(filtering.TypeString, filtering.TypeString)),
		filtering.DeclareEnumIdent(string(catalog.FilterState), catalogv1.Product_State(0).Type()),
	)
	if err != nil {
		return nil, fmt.Errorf("declare filter fields: %w", err)
	}
	return &filterParser{declarations: declarations}, nil
}

// parse reads a filter; an empty one is nil.
func (p *filterParser) parse(text string) (catalog.Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil //nolint:nilnil // no filter lets all products through
	}
	parsed, err := filtering.ParseFilterString(text, p.declarations)
	if err != nil {
		return nil, catalog.ErrFilter.WithField("filter", explain(err))
	}
	filter, err := convert(parsed.CheckedExpr.GetExpr())
	if err != nil {
		return nil, catalog.ErrFilter.WithField("filter", err.Error())
	}
	return filter, nil
}

// explain is the innermost cause, which says most, and where it is.
func explain(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if errors.Is(err, io.EOF) {
		return "ends too early"
	}
	detailed, ok := err.(interface {
		Message() string
		Position() filtering.Position
	})
	if !ok {
		return plain(err.Error())
	}
	at := detailed.Position()
	return fmt.Sprintf("%s at line %d, column %d", detailed.Message(), at.Line, at.Column)
}

// plain drops what the type checker says of its own workings.
func plain(text string) string {
	for _, step := range []string{"check call expr: ", "check select expr: "} {
		text = strings.ReplaceAll(text, step, "")
	}
	if strings.HasSuffix(text, "'"+filtering.FunctionFuzzyAnd+"'") {
		return "needs AND or OR between two conditions"
	}
	if operator, ok := strings.CutPrefix(text, "no matching overload found for calling "); ok {
		operator, _, _ = strings.Cut(operator, " with ")
		return "cannot use " + operator + " between values of these types"
	}
	return text
}

func convert(e *expr.Expr) (catalog.Filter, error) {
	call := e.GetCallExpr()
	if call == nil {
		return nil, errors.New("is not a comparison")
	}
	switch name := call.GetFunction(); name {
	case filtering.FunctionAnd, filtering.FunctionOr:
		parts := make([]catalog.Filter, len(call.GetArgs()))
		for i, arg := range call.GetArgs() {
			part, err := convert(arg)
			if err != nil {
				return nil, err
			}
			parts[i] = part
		}
		if name == filtering.FunctionAnd {
			return catalog.And(parts), nil
		}
		return catalog.Or(parts), nil
	case filtering.FunctionNot:
		inner, err := convert(call.GetArgs()[0])
		return catalog.Not{Filter: inner}, err
	case filtering.FunctionHas:
		return has(call.GetArgs()[0], call.GetArgs()[1])
	case filtering.FunctionEquals, filtering.FunctionNotEquals, filtering.FunctionLessThan,
		filtering.FunctionLessEquals, filtering.FunctionGreaterThan, filtering.FunctionGreaterEquals:
		return comparison(catalog.Op(name), call.GetArgs()[0], call.GetArgs()[1])
	default:
		return nil, fmt.Errorf("cannot use the function %s", name)
	}
}

// has is the operator ":".
func has(left, right *expr.Expr) (catalog.Filter, error) {
	text, err := textOf(right)
	if err != nil {
		return nil, err
	}
	switch path(left) {
	case string(catalog.FilterTitle):
		return catalog.TitleContains{Text: text}, nil
	case labelsField:
		return catalog.HasLabel{Key: text}, nil
	default:
		return nil, errors.New("can use : on title and labels only")
	}
}

func comparison(op catalog.Op, left, right *expr.Expr) (catalog.Filter, error) {
	name := path(left)
	if key, ok := strings.CutPrefix(name, labelsField+"."); ok {
		return labelComparison(op, key, right)
	}
	field := catalog.FilterField(name)
	var value catalog.Value
	var err error
	switch field {
	case catalog.FilterSKU, catalog.FilterTitle, catalog.FilterCurrency:
		value.Text, err = textOf(right)
	case catalog.FilterState:
		state := path(right)
		if _, ok := catalogv1.Product_State_value[state]; !ok {
			return nil, errors.New("can compare state only with one of its values")
		}
		value.Text = strings.TrimPrefix(state, statePrefix)
	case catalog.FilterUnits:
		number, ok := right.GetConstExpr().GetConstantKind().(*expr.Constant_Int64Value)
		if !ok {
			return nil, errors.New("can compare price.units only with a whole number")
		}
		value.Integer = number.Int64Value
	case catalog.FilterCreateTime, catalog.FilterUpdateTime:
		value.Time, err = timeOf(right)
	default:
		return nil, errors.New("needs a field on the left of each comparison")
	}
	if err != nil {
		return nil, err
	}
	return catalog.Compare{Field: field, Op: op, Value: value}, nil
}

func labelComparison(op catalog.Op, key string, right *expr.Expr) (catalog.Filter, error) {
	value, err := textOf(right)
	if err != nil {
		return nil, err
	}
	equal := catalog.LabelEquals{Key: key, Value: value}
	switch op {
	case catalog.Equal:
		return equal, nil
	case catalog.NotEqual:
		return catalog.Not{Filter: equal}, nil
	case catalog.Less, catalog.LessOrEqual, catalog.Greater, catalog.GreaterOrEqual:
	}
	return nil, errors.New("can compare labels only by = and !=")
}

// path is the dotted name that e is, or nothing.
func path(e *expr.Expr) string {
	if ident := e.GetIdentExpr(); ident != nil {
		return ident.GetName()
	}
	sel := e.GetSelectExpr()
	if sel == nil {
		return ""
	}
	operand := path(sel.GetOperand())
	if operand == "" {
		return ""
	}
	return operand + "." + sel.GetField()
}

func textOf(e *expr.Expr) (string, error) {
	text, ok := e.GetConstExpr().GetConstantKind().(*expr.Constant_StringValue)
	if !ok {
		return "", errors.New("needs a quoted text on the right of the comparison")
	}
	if strings.ContainsRune(text.StringValue, 0) {
		return "", errors.New("must not contain the NUL character")
	}
	return text.StringValue, nil
}

// timeOf reads "2026-01-02T15:04:05Z" and timestamp("2026-01-02T15:04:05Z").
func timeOf(e *expr.Expr) (time.Time, error) {
	if call := e.GetCallExpr(); call.GetFunction() == filtering.FunctionTimestamp && len(call.GetArgs()) == 1 {
		e = call.GetArgs()[0]
	}
	text, err := textOf(e)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("needs times like \"2026-01-02T15:04:05Z\", not %q", text)
	}
	return t, nil
}
