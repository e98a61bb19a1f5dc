package rest

import (
	"reflect"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/runtime/protoimpl"
)

// checkType refuses to hand over a message of another type than expected.
func checkType(want, got any) error {
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return status.Errorf(codes.Internal, "message is a %T, want %T", got, want)
	}
	return nil
}

// messagesOf checks that in is a message that can be given to out.
func messagesOf(out, in any) (to, from proto.Message, err error) {
	if err := checkType(out, in); err != nil {
		return nil, nil, err
	}
	to, ok := out.(proto.Message)
	from, _ = in.(proto.Message)
	if !ok || !from.ProtoReflect().IsValid() {
		return nil, nil, status.Errorf(codes.Internal, "handler returned %T without a message", in)
	}
	return to, from, nil
}

// copyMessage makes out the same message as in, without sharing anything.
func copyMessage(out, in any) error {
	to, from, err := messagesOf(out, in)
	if err != nil {
		return err
	}
	proto.Reset(to)
	proto.Merge(to, from)
	return nil
}

// sharer knows which messages may be shared.
type sharer struct {
	plain sync.Map // of reflect.Type to bool
}

// share makes out the same message as in. What in points to, sub-messages, lists
// and maps, is then of both, and read only.
func (s *sharer) share(out, in any) error {
	if _, _, err := messagesOf(out, in); err != nil {
		return err
	}
	to := reflect.ValueOf(out).Elem()
	ok, known := s.plain.Load(to.Type())
	if !known {
		ok = plain(to.Type())
		s.plain.Store(to.Type(), ok)
	}
	if ok == true {
		to.Set(reflect.ValueOf(in).Elem())
		return nil
	}
	return copyMessage(out, in)
}

// plain reports whether the struct of a message may be assigned: it is what
// protoc-gen-go makes for the open API, fields that are exported beside a state,
// a size and unknown fields. The state says of which type the message is; its
// lock is an array without elements, there for go vet. Anything else (the opaque
// API, extensions, messages that are no struct) may hold what must not be copied.
func plain(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for f := range t.Fields() {
		switch api := f.Tag.Get("protogen"); {
		case api != "" && api != "open.v1":
			return false
		case f.IsExported():
		case f.Type == reflect.TypeFor[protoimpl.MessageState](),
			f.Name == "sizeCache" && f.Type == reflect.TypeFor[protoimpl.SizeCache](),
			f.Name == "unknownFields" && f.Type == reflect.TypeFor[protoimpl.UnknownFields]():
		default:
			return false
		}
	}
	return true
}
