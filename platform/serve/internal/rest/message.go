package rest

import (
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// checkType refuses to hand over a message of another type than expected.
func checkType(want, got any) error {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return status.Errorf(codes.Internal, "message is a %T, want %T", got, want)
	}
	return nil
}

// handOver makes out the same message as in, without sharing anything. Merging
// is cheaper than it looks: setting field by field, so that sub-messages are
// shared, takes longer (see the decision on the in-process channel).
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
	proto.Merge(to, from)
	return nil
}
