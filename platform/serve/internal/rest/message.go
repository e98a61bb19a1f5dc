package rest

import (
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// checkType refuses to hand over a message of another type than expected.
func checkType(want, got any) error {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return status.Errorf(codes.Internal, "message is a %T, want %T", got, want)
	}
	return nil
}

// handOver makes out the same message as in. Fields are set, not copied: both
// share sub-messages, lists and maps from then on.
func handOver(out, in any) error {
	if err := checkType(out, in); err != nil {
		return err
	}
	to, ok := out.(proto.Message)
	from, _ := in.(proto.Message)
	if !ok || !from.ProtoReflect().IsValid() {
		return status.Errorf(codes.Internal, "handler returned %T without a message", in)
	}
	proto.Reset(to)
	dst, src := to.ProtoReflect(), from.ProtoReflect()
	src.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		dst.Set(field, value)
		return true
	})
	if unknown := src.GetUnknown(); len(unknown) > 0 {
		dst.SetUnknown(unknown)
	}
	return nil
}
