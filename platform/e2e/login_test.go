//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// everything are the scopes of somebody who may do whatever the services offer.
const everything = "catalog.read,catalog.write,inventory.read,inventory.write,inventory.reserve,orders.read,orders.write,orders.fulfil"

// up starts the system and takes a token from its issuer.
func (c *checkout) up(t *testing.T, args ...string) result {
	t.Helper()
	r := c.mustMage(t, append([]string{"up"}, args...)...)
	if c.bearer == "" {
		c.bearer = c.token(t, everything)
	}
	return r
}

// token asks the local issuer for a token.
func (c *checkout) token(t *testing.T, scopes string) string {
	t.Helper()
	return strings.TrimSpace(c.mustMage(t, "token", "--scope="+scopes, "--expires=12h").Stdout)
}

// bearer sends a token with each call.
type bearer string

// GetRequestMetadata returns the header.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false on loopback.
func (bearer) RequireTransportSecurity() bool { return false }

// dial connects to the gateway by gRPC, as who holds the token.
func (c *checkout) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(c.url(""), "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(c.bearer)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
