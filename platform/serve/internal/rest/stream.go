package rest

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// call is a stream under way; the handler runs on a goroutine of its own.
type call struct {
	*transport

	ctx      context.Context //nolint:containedctx // a stream has its context
	desc     *grpc.StreamDesc
	opts     []grpc.CallOption
	requests chan proto.Message // closed by CloseSend; one may wait, so that a call with one request never does
	replies  chan proto.Message // none waits: the handler goes as fast as its reader
	done     chan struct{}      // closed when the handler has returned
	err      error              // what it returned; to be read after done
}

// NewStream opens a stream.
func (c *Channel) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	m, ok := c.streams[method]
	if err := exchangeOf(ctx).enter(method, ok && m.desc.ClientStreams); err != nil {
		return nil, err
	}
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	s := &call{
		transport: &transport{method: method, sent: make(chan struct{})}, desc: m.desc, opts: opts,
		requests: make(chan proto.Message, 1), replies: make(chan proto.Message), done: make(chan struct{}),
	}
	serving, end, err := c.begin(ctx, s.transport)
	if err != nil {
		return nil, err
	}
	s.ctx = serving
	info := &grpc.StreamServerInfo{FullMethod: method, IsClientStream: m.desc.ClientStreams, IsServerStream: m.desc.ServerStreams}
	go func() {
		defer end()
		if err := c.cfg.Stream(m.impl, &serverStream{s}, info, m.desc.Handler); err != nil {
			s.err = answerOf(err)
		}
		s.transport.end(s.opts)
		close(s.done)
	}()
	return &clientStream{call: s, ctx: ctx}, nil
}

// serverStream is the handler's end.
type serverStream struct{ *call }

// Context has the call's metadata and ends with the call.
func (s *serverStream) Context() context.Context { return s.ctx }

// SetTrailer adds to the trailer.
func (s *serverStream) SetTrailer(md metadata.MD) { _ = s.transport.SetTrailer(md) } // fails only after the call has ended

// SendMsg passes a copy of the message to the client and returns once the
// client has it.
func (s *serverStream) SendMsg(m any) error {
	message, err := copyOf(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.markSent()
	s.mu.Unlock()
	select {
	case s.replies <- message:
		return nil
	case <-s.ctx.Done():
		return ended(s.ctx)
	}
}

// RecvMsg waits for the client's next message; io.EOF says there is none.
func (s *serverStream) RecvMsg(m any) error {
	select {
	case message, ok := <-s.requests:
		if !ok {
			return io.EOF
		}
		return copyMessage(m, message)
	case <-s.ctx.Done():
		return ended(s.ctx)
	}
}

// clientStream is the gateway's end.
type clientStream struct {
	*call

	ctx    context.Context //nolint:containedctx // a stream has its context
	closed bool            // sending is over
}

// Context is the caller's.
func (s *clientStream) Context() context.Context { return s.ctx }

// Header waits for the header. If the call fails, RecvMsg has the reason.
func (s *clientStream) Header() (metadata.MD, error) {
	select {
	case <-s.sent:
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header.Copy(), nil
}

// Trailer is there after RecvMsg has returned an error.
func (s *clientStream) Trailer() metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trailer.Copy()
}

// CloseSend says that there are no more messages.
func (s *clientStream) CloseSend() error {
	if !s.closed {
		s.closed = true
		close(s.requests)
	}
	return nil
}

// SendMsg passes a copy of the message to the handler. io.EOF says that the
// call is over; RecvMsg has the reason. Where there is one message only, the
// generated code does not expect that, so it gets nil.
func (s *clientStream) SendMsg(m any) error {
	if s.closed {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	message, err := copyOf(m)
	if err != nil {
		return err
	}
	select {
	case s.requests <- message:
		return nil
	case <-s.done:
	case <-s.ctx.Done():
	}
	if !s.desc.ClientStreams {
		return nil
	}
	return io.EOF
}

// RecvMsg waits for the handler's next message. io.EOF says that the call
// ended well.
func (s *clientStream) RecvMsg(m any) error {
	message, err := s.next()
	if err != nil {
		return err
	}
	if err := copyMessage(m, message); err != nil {
		return err
	}
	if s.desc.ServerStreams {
		return nil
	}
	switch _, err := s.next(); {
	case err == nil:
		return status.Error(codes.Internal, "handler sent more than one answer")
	case err != io.EOF: //nolint:errorlint // ours
		return err
	}
	return nil
}

func (s *clientStream) next() (proto.Message, error) {
	select {
	case message := <-s.replies:
		return message, nil
	case <-s.done:
		if s.err != nil {
			return nil, s.err
		}
		return nil, io.EOF
	case <-s.ctx.Done():
		return nil, ended(s.ctx)
	}
}

// copyOf is a message that is free of its sender, who may go on using m.
func copyOf(m any) (proto.Message, error) {
	message, ok := m.(proto.Message)
	if !ok || !message.ProtoReflect().IsValid() {
		return nil, status.Errorf(codes.Internal, "cannot send a %T", m)
	}
	return proto.Clone(message), nil
}

// ended is the status of a call whose context is done.
func ended(ctx context.Context) error {
	return status.FromContextError(ctx.Err()).Err()
}
