package mesh_test

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// BenchmarkCall is one call after another: straight to a task, and by the mesh.
func BenchmarkCall(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &backend{id: "straight"})
	go func() { _ = srv.Serve(l) }()
	b.Cleanup(srv.Stop)
	s := setup(b, self)
	s.task("a")
	for name, address := range map[string]string{"straight": l.Addr().String(), "mesh": s.link()} {
		b.Run(name, func(b *testing.B) {
			client := s.client(address)
			for b.Loop() {
				if _, err := client.UnaryCall(b.Context(), body("x")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFirstCall opens a connection for each call, whose peer is looked up.
func BenchmarkFirstCall(b *testing.B) {
	s := setup(b, self)
	s.task("a")
	address := s.link()
	for b.Loop() {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := testpb.NewTestServiceClient(conn).UnaryCall(b.Context(), body("x")); err != nil {
			b.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
