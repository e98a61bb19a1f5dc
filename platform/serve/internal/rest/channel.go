package rest

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
)

// ChannelConfig is what a Channel runs around every method.
type ChannelConfig struct {
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// Channel is how the gateway reaches this process's own gRPC methods: a call of
// the client's is a call of the registered handler, with every interceptor
// running, and no bytes in between. A unary call runs on its caller's goroutine
// and ends when the handler does. Handlers must be those that
// protoc-gen-go-grpc generates.
//
// A unary request is handed over, not copied: its client must not use it again,
// and the gateway does not. A unary answer shares what the handler's points to:
// its client must only read it, and its handler not change it later. Messages of
// streams are copied. Of the call options, Header, Trailer and Peer have an effect.
type Channel struct {
	cfg      ChannelConfig
	messages sharer
	unary    map[string]unaryMethod
	streams  map[string]streamMethod
	running  context.Context //nolint:containedctx // ends with the channel, not with a call
	cut      context.CancelFunc

	mu     sync.Mutex
	calls  int           // guarded by mu; those under way
	closed bool          // guarded by mu; no new ones
	idle   chan struct{} // closed when both hold: closed, no calls
}

type unaryMethod struct {
	impl   any
	handle grpc.MethodHandler
}

type streamMethod struct {
	impl any
	desc *grpc.StreamDesc
}

// NewChannel makes a channel without methods.
func NewChannel(cfg ChannelConfig) *Channel {
	c := &Channel{cfg: cfg, unary: make(map[string]unaryMethod), streams: make(map[string]streamMethod), idle: make(chan struct{})}
	running, cut := context.WithCancel(context.Background())
	c.running, c.cut = context.WithValue(running, channelContext{}, c), cut
	return c
}

type channelContext struct{}

// Context ends when the channel has stopped. Calls whose context derives from it
// are cheaper, since nothing has to be arranged for their end.
func (c *Channel) Context() context.Context { return c.running }

// RegisterService adds a service's methods. All must be registered before the
// first call.
func (c *Channel) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for i := range desc.Methods {
		c.unary["/"+desc.ServiceName+"/"+desc.Methods[i].MethodName] = unaryMethod{impl: impl, handle: desc.Methods[i].Handler}
	}
	for i := range desc.Streams {
		c.streams["/"+desc.ServiceName+"/"+desc.Streams[i].StreamName] = streamMethod{impl: impl, desc: &desc.Streams[i]}
	}
}

// Invoke calls a unary method.
func (c *Channel) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	if err := exchangeOf(ctx).enter(method, false); err != nil {
		return err
	}
	m, ok := c.unary[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	t := &transport{method: method}
	ctx, end, err := c.begin(ctx, t)
	if err != nil {
		return err
	}
	defer end()
	sameType := func(fresh any) error { return checkType(fresh, in) }
	reply, err := m.handle(m.impl, ctx, sameType, func(ctx context.Context, _ any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return c.cfg.Unary(ctx, in, info, next)
	})
	t.end(opts)
	if err != nil {
		return answerOf(err)
	}
	return c.messages.share(out, reply)
}

// begin counts a call and makes its server's context: the caller's deadline and
// values, but what the caller sends as metadata the server receives. The function
// must be called when the handler has returned.
func (c *Channel) begin(ctx context.Context, t *transport) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, status.Error(codes.Unavailable, "the service is stopping")
	}
	c.calls++
	end := c.finish
	if ctx.Value(channelContext{}) != c {
		under, cancel := context.WithCancel(ctx)
		detach := context.AfterFunc(c.running, cancel)
		ctx, end = under, func() { detach(); cancel(); c.finish() }
	}
	var sent metadata.MD
	if grpc.ServerTransportStreamFromContext(ctx) == nil { // not a handler's own call
		sent = exchangeOf(ctx).metadata
	}
	if more, _ := metadata.FromOutgoingContext(ctx); more != nil {
		sent = join(sent, more)
		ctx = metadata.NewOutgoingContext(ctx, nil) // else the handler's own calls would send it on
	}
	ctx = metadata.NewIncomingContext(ctx, sent)
	ctx = peer.NewContext(ctx, inProcess)
	ctx = grpc.NewContextWithServerTransportStream(ctx, t)
	return ctx, end, nil
}

func (c *Channel) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls--; c.closed && c.calls == 0 {
		close(c.idle)
	}
}

// Stop refuses new calls and lets those under way end until ctx does; then it
// cancels them and returns drain.ErrTimeout. It may be called more than once.
func (c *Channel) Stop(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		if c.calls == 0 {
			close(c.idle)
		}
	}
	c.mu.Unlock()
	defer c.cut()
	select {
	case <-c.idle:
		return nil
	default:
	}
	select {
	case <-c.idle:
		return nil
	case <-ctx.Done():
		return drain.ErrTimeout
	}
}

// inProcess is whom a handler sees as its peer.
var inProcess = &peer.Peer{Addr: inProcessAddr{}, LocalAddr: inProcessAddr{}} //nolint:gochecknoglobals // constant

type inProcessAddr struct{}

var _ net.Addr = inProcessAddr{}

// Network is the kind of the address.
func (inProcessAddr) Network() string { return "inprocess" }

// String is the address.
func (inProcessAddr) String() string { return "gateway" }

// answerOf is what a caller at the other end of a connection would get for a
// handler's error: a status without its cause, in valid UTF-8.
func answerOf(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	if !utf8.ValidString(st.Message()) {
		p := st.Proto()
		p.Message = strings.ToValidUTF8(p.GetMessage(), "\uFFFD")
		st = status.FromProto(p)
	}
	if st.Code() == codes.OK { // a handler that wraps OK into an error
		return status.Error(codes.Internal, "handler returned an error with code OK")
	}
	return st.Err() //nolint:wrapcheck // a status passes as it is
}

// transport is a call's metadata on its way back, as grpc.SetHeader and the
// like reach it through the context.
type transport struct {
	method string
	sent   chan struct{} // closed with the header; nil for unary calls

	mu              sync.Mutex
	header, trailer metadata.MD
	headerSent      bool
	ended           bool
}

var (
	errHeaderSent = errors.New("the header was sent already")
	errEnded      = errors.New("the call has ended")
)

// Method is the call's full method name.
func (t *transport) Method() string { return t.method }

// SetHeader adds to the header.
func (t *transport) SetHeader(md metadata.MD) error { return t.addHeader(md, false) }

// SendHeader adds to the header and sends it.
func (t *transport) SendHeader(md metadata.MD) error { return t.addHeader(md, true) }

func (t *transport) addHeader(md metadata.MD, send bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.headerSent || t.ended {
		return errHeaderSent
	}
	t.header = join(t.header, md)
	if send {
		t.markSent()
	}
	return nil
}

// markSent needs mu.
func (t *transport) markSent() {
	if t.headerSent {
		return
	}
	t.headerSent = true
	if t.sent != nil {
		close(t.sent)
	}
}

// SetTrailer adds to the trailer.
func (t *transport) SetTrailer(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return errEnded
	}
	t.trailer = join(t.trailer, md)
	return nil
}

// join adds md to have. The first one is taken as it is: metadata must not be
// changed once it is given away.
func join(have, md metadata.MD) metadata.MD {
	if len(have) == 0 {
		return md
	}
	return metadata.Join(have, md)
}

// end closes header and trailer and gives them to the caller's options.
func (t *transport) end(opts []grpc.CallOption) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.markSent()
	t.ended = true
	for _, opt := range opts {
		switch o := opt.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = t.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = t.trailer
		case grpc.PeerCallOption:
			*o.PeerAddr = *inProcess
		}
	}
}
