// Package wire is the server side of AWS's JSON protocol (awsJson1.1), and of
// the CBOR protocol that CloudWatch's newer clients speak: it turns
// POST requests into calls of Go functions over aws-sdk-go-v2's own input and
// output types, and their errors into what AWS's clients expect. It knows no
// service; the packages beside it describe theirs with API.
package wire

import (
	"context"

	"github.com/aws/smithy-go"
)

// Case is how a service writes the first letter of its JSON members.
type Case int

// The two ways there are. ECS, ECR and CloudWatch Logs write LowerCamel,
// Secrets Manager and Systems Manager write Pascal.
const (
	LowerCamel Case = iota
	Pascal
)

// Protocol is how requests of one AWS service are recognised and spelled.
type Protocol struct {
	Target  string // the X-Amz-Target prefix, "AmazonEC2ContainerServiceV20141113"
	Signing string // the service in a signature's scope, "ecs"
	Names   Case
	// Paths names the operations that have a path of their own, as those of
	// AWS's REST protocol do (restJson1): "/TraceSummaries". Their input is still
	// the body alone.
	Paths map[string]string
}

// API is the part of one AWS service that is served, by operation name.
type API struct {
	Protocol

	Operations map[string]Operation
}

// Operation is one operation of an API. Op makes one.
type Operation struct {
	invoke func(ctx context.Context, body []byte, codec codec) ([]byte, error)
}

// codec is how one request is spelled.
type codec struct {
	names Case
	cbor  bool
}

func (c codec) unmarshal(body []byte, v any) error {
	if c.cbor {
		var err error
		if body, err = fromCBOR(body); err != nil {
			return err
		}
	}
	if len(body) == 0 {
		return nil
	}
	return Unmarshal(body, v, c.names)
}

func (c codec) marshal(v any) ([]byte, error) {
	if c.cbor {
		return MarshalCBOR(v, c.names)
	}
	return Marshal(v, c.names)
}

// Op makes an operation of a function over an SDK input and output type.
//
// The function's error decides the answer: a smithy.APIError (each of the
// SDK's exceptions is one, so is *smithy.GenericAPIError) is sent as it is,
// anything else becomes InternalFailure and is logged. A nil output is sent
// as an empty object.
func Op[I, O any](fn func(context.Context, *I) (*O, error)) Operation {
	return Operation{invoke: func(ctx context.Context, body []byte, codec codec) ([]byte, error) {
		in := new(I)
		if err := codec.unmarshal(body, in); err != nil {
			return nil, &smithy.GenericAPIError{Code: "SerializationException", Message: err.Error(), Fault: smithy.FaultClient}
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return codec.marshal(struct{}{})
		}
		return codec.marshal(out)
	}}
}
