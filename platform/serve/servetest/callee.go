package servetest

import (
	"net"
	"testing"

	"google.golang.org/grpc"
)

// Callee serves what register registers on a loopback port until the test ends
// and returns the address. It stands in for a service that the one under test
// calls, and asks for no token:
//
//	fake := servetest.Callee(t, func(r grpc.ServiceRegistrar) { catalogv1.RegisterCatalogServiceServer(r, fakeCatalog{}) })
//	s := servetest.Start(t, svc, servetest.Options{Callees: map[string]string{"catalog": fake}})
func Callee(tb testing.TB, register func(grpc.ServiceRegistrar), options ...grpc.ServerOption) (address string) {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	server := grpc.NewServer(options...)
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			tb.Errorf("serve callee: %v", err)
		}
	})
	return l.Addr().String()
}
