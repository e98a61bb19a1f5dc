package outbound

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// stream reports how a stream began and how it ended.
type stream struct {
	grpc.ClientStream

	many  bool // answers
	began func(error)
	ended func(error)
}

// newStream calls began once, with the first answer or the error in its place,
// and ends the call once, however the stream does: by its end, an error, or the
// end of ctx, the context it was opened with.
func newStream(ctx context.Context, inner grpc.ClientStream, desc *grpc.StreamDesc, began func(error), call telemetry.Call) *stream {
	var once, twice sync.Once
	s := &stream{ClientStream: inner, many: desc.ServerStreams}
	s.began = func(err error) { once.Do(func() { began(err) }) }
	end := func(err error) { twice.Do(func() { s.began(err); call.End(err) }) }
	detach := context.AfterFunc(ctx, func() { end(status.FromContextError(ctx.Err()).Err()) })
	s.ended = func(err error) { detach(); end(err) }
	return s
}

// RecvMsg waits for the next answer.
func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		s.ended(nil)
	case err != nil:
		s.ended(err)
	case s.many:
		s.began(nil)
	default:
		s.ended(nil)
	}
	return err //nolint:wrapcheck // io.EOF and statuses pass as they are
}
