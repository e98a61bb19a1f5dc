// Package outbound is how a service calls another one: a connection that is
// balanced over the callee's tasks, carries the caller's own token, deadline,
// request id and trace, retries only what may be repeated, and gives up at once
// on a callee that does not answer.
package outbound

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// Conn is a connection to one callee. It connects with the first call.
type Conn struct {
	target  Target
	cc      *grpc.ClientConn
	tokens  *tokens // nil for calls without a token
	breaker *breaker
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// The server's enforcement policy allows a ping every 10 seconds, also without a
// call in flight (serve's buildGRPC); Service Connect's proxy does not mind.
const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// reconnect keeps the pause between connection attempts short: gRPC's own grows
// to two minutes, and calls fail all that time though the callee is back.
func reconnect() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
		MinConnectTimeout: 3 * time.Second,
	}
}

// Dial makes the connection; it connects nothing.
func Dial(t Target) (*Conn, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	cc, err := grpc.NewClient(target(t.Address),
		// Inside the VPC the security groups say who may connect; Service Connect
		// encrypts between tasks where its TLS is configured, and speaks plain
		// HTTP/2 to the task itself.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithConnectParams(reconnect()),
		grpc.WithDefaultServiceConfig(serviceConfig()),
		grpc.WithDisableServiceConfig(), // a DNS record does not say what may be retried
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Callee, err)
	}
	c := &Conn{target: t, cc: cc, breaker: newBreaker(t)}
	if len(t.Scopes) > 0 {
		c.tokens = newTokens(t)
	}
	return c, nil
}

// Close ends the connection and the calls that still use it.
func (c *Conn) Close() error {
	if c.tokens != nil {
		c.tokens.close()
	}
	return c.cc.Close() //nolint:wrapcheck // nothing to add
}

// target resolves a name by DNS, so that calls are balanced over all of its
// addresses; a literal address is used as it is.
func target(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	host, _, err := net.SplitHostPort(address)
	if err == nil && net.ParseIP(host) != nil {
		return "passthrough:///" + address
	}
	return "dns:///" + address
}

// Invoke carries out a unary call. Its error is a status, whoever it comes from.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) (err error) {
	ctx, cancel, err := c.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	ctx, call := c.target.Telemetry.Call(ctx, c.target.Callee, method)
	defer func() { call.End(err) }()
	ctx, bearer, err := c.prepare(ctx)
	if err != nil {
		return err
	}
	done, err := c.breaker.allow()
	if err != nil {
		return err
	}
	err = c.cc.Invoke(ctx, method, args, reply, opts...)
	done(err)
	c.reject(bearer, err)
	return err //nolint:wrapcheck // a status passes as it is
}

// NewStream opens a stream, which lives as long as its context.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, call := c.target.Telemetry.Call(ctx, c.target.Callee, method)
	stream, err := c.open(ctx, call, desc, method, opts)
	if err != nil {
		call.End(err)
		return nil, err
	}
	return stream, nil
}

func (c *Conn) open(ctx context.Context, call telemetry.Call, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	ctx, bearer, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	done, err := c.breaker.allow()
	if err != nil {
		return nil, err
	}
	inner, err := c.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		done(err)
		return nil, err //nolint:wrapcheck // a status passes as it is
	}
	return newStream(ctx, inner, desc, func(err error) { done(err); c.reject(bearer, err) }, call), nil
}

// The caller keeps a tenth of its time, at most this much, to answer when the
// callee did not.
const marginMax = 100 * time.Millisecond

// bound gives the call its time: what is left of the caller's, less a margin, and
// at most OUTBOUND_TIMEOUT.
func (c *Conn) bound(ctx context.Context) (context.Context, context.CancelFunc, error) {
	limit := c.target.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, nil, status.FromContextError(context.DeadlineExceeded).Err() //nolint:wrapcheck // a status
		}
		limit = min(limit, left-min(left/10, marginMax))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, cancel, nil
}

// prepare adds the metadata: token, request id, trace.
func (c *Conn) prepare(ctx context.Context) (_ context.Context, bearer string, _ error) {
	pairs := make([]string, 0, 10)
	if c.tokens != nil {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return nil, "", err
		}
		bearer = token
		pairs = append(pairs, "authorization", "Bearer "+token)
	}
	if id := requestid.From(ctx); id != "" {
		pairs = append(pairs, requestid.Key, id)
	}
	return metadata.AppendToOutgoingContext(ctx, c.target.Telemetry.Inject(ctx, pairs)...), bearer, nil
}

// reject forgets a token that the callee does not take, as after a change of
// keys; the next call gets a new one.
func (c *Conn) reject(bearer string, err error) {
	if c.tokens != nil && status.Code(err) == codes.Unauthenticated {
		c.tokens.drop(bearer)
	}
}
