package wire

import (
	"reflect"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"
)

// naming gives the names on the wire of one structure's members.
type naming struct {
	names Case
	model *smithy.Schema // nil for a structure that is not the SDK's
}

// namesOf prefers the service's model, which the SDK carries, over the rule:
// some members break it (ECR writes {"Key","Value"} for a tag).
func namesOf(structure reflect.Type, c Case) naming {
	n := naming{names: c}
	if v, ok := reflect.TypeAssert[smithy.Serializable](reflect.New(structure)); ok {
		n.model = modelOf(v)
	}
	return n
}

// of is the name on the wire of a Go field, whose first letter the SDK's
// generator always makes a capital.
func (n naming) of(field string) string {
	first, size := utf8.DecodeRuneInString(field)
	lower := string(unicode.ToLower(first)) + field[size:]
	if n.model != nil {
		if n.model.Member(lower) != nil {
			return lower
		}
		if n.model.Member(field) != nil {
			return field
		}
	}
	if n.names == Pascal {
		return field
	}
	return lower
}

// modelOf asks an empty structure to write itself and looks at what it says
// first. The sink has none of the methods that come after.
func modelOf(v smithy.Serializable) (model *smithy.Schema) {
	sink := &modelSink{}
	defer func() {
		if recover() != nil {
			model = sink.model
		}
	}()
	v.Serialize(sink)
	return sink.model
}

type modelSink struct {
	smithy.ShapeSerializer

	model *smithy.Schema
}

func (s *modelSink) WriteStruct(model *smithy.Schema) {
	if s.model == nil {
		s.model = model
	}
}

func (s *modelSink) CloseStruct() {}
