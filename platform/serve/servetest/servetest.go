// Package servetest starts a service inside a test, whole: gRPC over an
// in-memory connection, REST over HTTP, and a fresh database on a real
// PostgreSQL server. It is for tests alone.
package servetest

import (
	"net/http"
	"testing"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
)

// Server is a running service.
type Server struct {
	Conn     *grpc.ClientConn // to the gRPC server, over memory
	URL      string           // base URL of the REST server, without a final slash
	Handler  http.Handler     // the same REST server without a socket
	Client   *http.Client     // closed with the test
	Database string           // URL of the service's database; empty without one
}

// Options adapts Start; the zero value suits most tests.
type Options struct {
	// Env adds to the configuration, e.g. REQUEST_TIMEOUT.
	Env map[string]string
	// Database uses this database instead of a fresh one.
	Database string
}

// Start completes and runs the service and stops it, with a drain, when the
// test ends. A service with migrations gets a fresh, migrated database.
func Start(t testing.TB, svc serve.Service, opts ...Options) *Server {
	t.Helper()
	return nil
}
