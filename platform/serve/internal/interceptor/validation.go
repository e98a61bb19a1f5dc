package interceptor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// Validator checks messages against the rules in their proto. Compiling the
// rules costs milliseconds, so it happens after start: in the background, or by
// the first request if that comes sooner.
type Validator struct {
	make func() (protovalidate.Validator, error)
}

// NewValidator returns a validator whose rules are not compiled yet.
func NewValidator() *Validator {
	return &Validator{make: sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })}
}

// Warm compiles the rules of every request that the services, given by their
// full names, take, until ctx ends.
func (v *Validator) Warm(ctx context.Context, services []string) {
	for _, name := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		service, ok := d.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			continue
		}
		for i := range service.Methods().Len() {
			t, err := protoregistry.GlobalTypes.FindMessageByName(service.Methods().Get(i).Input().FullName())
			if err != nil {
				continue
			}
			if ctx.Err() != nil {
				return
			}
			_ = v.validate(t.New().Interface()) // only to compile; empty messages may well be invalid
		}
	}
}

// validate returns an errs.InvalidArgument that lists every violation.
func (v *Validator) validate(m proto.Message) error {
	pv, err := v.make()
	if err != nil {
		return fmt.Errorf("make validator: %w", err)
	}
	err = pv.Validate(m)
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		if err != nil {
			return fmt.Errorf("validate %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
		}
		return nil
	}
	out := errs.New(errs.InvalidArgument, "INVALID_FIELDS", "")
	for i, violation := range invalid.Violations {
		path := protovalidate.FieldPathString(violation.Proto.GetField())
		text := violation.Proto.GetMessage()
		if i == 0 {
			out.Message = text
			if path != "" {
				out.Message = path + ": " + text
			}
		}
		out.Fields = append(out.Fields, errs.Field{Path: path, Description: text, Reason: problem.UpperSnake(violation.Proto.GetRuleId())})
	}
	if more := len(invalid.Violations) - 1; more > 0 {
		out.Message += fmt.Sprintf(" (and %d more)", more)
	}
	return out //nolint:wrapcheck // made here
}

// validation refuses requests that break the rules of their proto.
func validation(cfg Config) Interceptor {
	v := cfg.Validator
	return Interceptor{
		Name: "validation",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if m, ok := req.(proto.Message); ok && !cfg.Methods.Find(info.FullMethod).Infrastructure {
				if err := v.validate(m); err != nil {
					return nil, err
				}
			}
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if cfg.Methods.Find(info.FullMethod).Infrastructure {
				return next(srv, ss)
			}
			return next(srv, &validatedStream{ServerStream: ss, validator: v})
		},
	}
}

// validatedStream validates each message it receives.
type validatedStream struct {
	grpc.ServerStream

	validator *Validator
}

// RecvMsg refuses an invalid message.
func (s *validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err //nolint:wrapcheck // io.EOF and transport statuses pass as they are
	}
	if msg, ok := m.(proto.Message); ok {
		return s.validator.validate(msg)
	}
	return nil
}
