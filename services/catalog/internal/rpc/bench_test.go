package rpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
	"github.com/slipway-dev/slipway/services/catalog/internal/rpc"
)

// memory is a store of one product, so that no database is measured.
type memory struct{ catalog.Store }

// Get makes the product anew, as a row does.
func (memory) Get(_ context.Context, id string) (catalog.Product, error) {
	made := time.Date(2026, time.May, 4, 12, 30, 0, 123456000, time.UTC)
	return catalog.Product{ID: id, UID: "7d0b2f1c-7c2e-4f0e-9a55-6b7f5f3c9f10", CreateTime: made, UpdateTime: made, Content: catalog.Content{
		SKU: "BENCH-0001", Title: "Enamel mug 1", Description: "Holds a third of a litre and does not mind being dropped.",
		Price:  catalog.Money{Currency: "EUR", Units: 12, Nanos: 500_000_000},
		Labels: map[string]string{"color": "blue", "material": "enamel"}, State: catalog.Active,
	}}, nil
}

// BenchmarkRead is one product read over one connection: through the whole
// runtime, less the database, and out of a bare handler. The metric cpu-ns/op
// counts the client too, which is the same for both.
func BenchmarkRead(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/products/{id}", func(w http.ResponseWriter, r *http.Request) {
			p, _ := memory{}.Get(r.Context(), r.PathValue("id"))
			text, _ := json.Marshal(p)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text)
		})
		s := httptest.NewServer(mux)
		defer s.Close()
		read(b, s.URL, "none")
	})
	b.Run("runtime", func(b *testing.B) {
		s := servetest.Start(b, serve.Service{Name: "catalog", Setup: func(_ context.Context, on *serve.Builder) error {
			c, err := catalog.New(catalog.Config{Store: memory{}})
			if err != nil {
				return err
			}
			server, err := rpc.New(c)
			if err != nil {
				return err
			}
			catalogv1.RegisterCatalogServiceServer(on, server)
			on.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
				return catalogv1.RegisterCatalogServiceHandlerClient(ctx, mux, catalogv1.NewCatalogServiceClient(conn))
			})
			return nil
		}})
		read(b, s.URL, s.Token(b, servetest.Claims{"scope": "catalog.read"}))
	})
}

// read asks again and again, with as little client as will do.
func read(b *testing.B, url, token string) {
	b.Helper()
	address := strings.TrimPrefix(url, "http://")
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "GET /v1/products/bench-0001 HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", address, token)
	from := bufio.NewReader(conn)
	once := func() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		length := int64(0)
		for line := "-"; line != "\r\n"; {
			if line, err = from.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
			if text, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				length, _ = strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			}
		}
		if _, err := io.CopyN(io.Discard, from, length); err != nil || length < 100 {
			b.Fatal(length, err)
		}
	}
	once()
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
}

func processorTime() time.Duration {
	var self syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &self)
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}
