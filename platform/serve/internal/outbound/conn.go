// Package outbound is how a service calls another one: a connection that is
// balanced over the callee's tasks, carries the caller's own token and deadline,
// and retries only what may be repeated.
package outbound

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Conn is a connection to one callee. It connects with the first call.
type Conn struct {
	*grpc.ClientConn
}

// The server's enforcement policy allows a ping every 10 seconds (serve's
// buildGRPC), also without a call in flight.
const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// Dial makes the connection; it connects nothing.
func Dial(t Target) (*Conn, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	cc, err := grpc.NewClient(target(t.Address),
		// Inside the VPC the security groups say who may connect; Service Connect
		// encrypts where its TLS is configured, and speaks plain HTTP/2 to us.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Callee, err)
	}
	return &Conn{ClientConn: cc}, nil
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

// Invoke carries out a unary call.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.ClientConn.Invoke(ctx, method, args, reply, opts...) //nolint:wrapcheck // a status passes as it is
}
