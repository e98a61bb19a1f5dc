package mesh_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

const groupARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/catalog-grpc/0123456789abcdef"

var route = mesh.Route{Caller: "orders", Callee: "catalog", Family: "slipway-local-orders", Rule: groupARN}

// memory is a Store.
type memory struct {
	mu   sync.Mutex
	keys map[string][]byte
}

func (m *memory) Put(key string, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, err := json.Marshal(v)
	m.keys[key] = raw
	return err
}

func (m *memory) Delete(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, key)
	return nil
}

func (m *memory) List(prefix string, fn func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, m.keys[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// backend is one task of the callee.
type backend struct {
	testpb.UnimplementedTestServiceServer

	id      string
	mu      sync.Mutex
	served  int
	seen    metadata.MD
	limit   time.Duration // left of the last call's deadline
	blocked chan struct{} // closed when a call that waits for its end has begun
	ended   chan error    // what ended it
}

func (b *backend) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	b.mu.Lock()
	b.served++
	b.seen, _ = metadata.FromIncomingContext(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		b.limit = time.Until(deadline)
	}
	b.mu.Unlock()
	switch string(r.GetPayload().GetBody()) {
	case "fail":
		return nil, status.Error(codes.Aborted, "100% wrong")
	case "block":
		close(b.blocked)
		<-ctx.Done()
		b.ended <- ctx.Err()
		return nil, ctx.Err()
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs("served-by", b.id))
	return &testpb.SimpleResponse{ServerId: b.id, Payload: r.GetPayload()}, nil
}

// StreamingOutputCall sends as many messages as asked, each as large as asked.
func (b *backend) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}

// FullDuplexCall answers each message, and says who answers.
func (b *backend) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		if _, err := s.Recv(); err != nil {
			return nil //nolint:nilerr // the client is done
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte(b.id)}}); err != nil {
			return err
		}
	}
}

// bundle is a mesh before a real gateway engine.
type bundle struct {
	t       testing.TB
	gateway *gateway.Gateway
	mesh    *mesh.Mesh
	store   *memory
}

// self is this process as a task of orders.
func self() []mesh.Process {
	return []mesh.Process{{PID: os.Getpid(), Family: route.Family, Service: "orders"}}
}

func setup(t testing.TB, processes func() []mesh.Process) *bundle {
	t.Helper()
	gw, err := gateway.New(gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gw.Close)
	b := &bundle{t: t, gateway: gw, store: &memory{keys: map[string][]byte{}}}
	err = gw.PutTargetGroup(gateway.TargetGroup{
		ARN: groupARN, Name: "catalog-grpc", Protocol: gateway.GRPC,
		HealthCheck: gateway.HealthCheck{Interval: time.Second, Timeout: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.mesh = b.open(processes, 0)
	return b
}

func (b *bundle) open(processes func() []mesh.Process, base int) *mesh.Mesh {
	b.t.Helper()
	m, err := mesh.New(mesh.Config{Forward: b.gateway.Forward, Store: b.store, Processes: processes, Base: base})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := m.Close(ended); err != nil {
			b.t.Error(err)
		}
	})
	return m
}

func (b *bundle) link() string {
	b.t.Helper()
	links, err := b.mesh.Set([]mesh.Route{route})
	if err != nil {
		b.t.Fatal(err)
	}
	return links[0].Address
}

// task starts a task of the callee and waits until it is healthy.
func (b *bundle) task(id string) *backend {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	be := &backend{id: id, blocked: make(chan struct{}), ended: make(chan error, 1)}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, be)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	go func() { _ = srv.Serve(l) }()
	b.t.Cleanup(srv.Stop)
	if err := b.gateway.Register(groupARN, gateway.Target{ID: id, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}); err != nil {
		b.t.Fatal(err)
	}
	b.await(func() bool { return b.gateway.Health(groupARN, id).State == gateway.StateHealthy })
	return be
}

// await polls until ok holds; what it waits for is done by real goroutines.
func (b *bundle) await(ok func() bool) {
	b.t.Helper()
	clock := clockwork.NewRealClock()
	for deadline := clock.Now().Add(20 * time.Second); !ok(); <-clock.After(2 * time.Millisecond) {
		if clock.Now().After(deadline) {
			b.t.Fatal("did not happen within 20 s")
		}
	}
}

func (b *bundle) client(address string) testpb.TestServiceClient {
	b.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

func body(text string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(text)}}
}

// TestCallsAreBalancedOneByOne: many calls over one connection reach all tasks
// alike.
func TestCallsAreBalancedOneByOne(t *testing.T) {
	b := setup(t, self)
	tasks := []*backend{b.task("a"), b.task("b"), b.task("c")}
	client := b.client(b.link())
	const calls, clients = 1000, 8
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range calls / clients {
				if _, err := client.UnaryCall(t.Context(), body("x")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, task := range tasks {
		if share := float64(task.served) / calls; share < 0.31 || share > 0.36 {
			t.Errorf("task %s served %d of %d calls", task.id, task.served, calls)
		}
	}
}

func TestCallsPassAsTheyAre(t *testing.T) {
	b := setup(t, self)
	task := b.task("a")
	client := b.client(b.link())
	var trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k1", "x-forwarded-for", "10.0.0.1", "raw-bin", "\x00\xff")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	big := strings.Repeat("x", 3<<20)
	res, err := client.UnaryCall(ctx, body(big), grpc.Trailer(&trailer), grpc.MaxCallRecvMsgSize(8<<20))
	if err != nil || string(res.GetPayload().GetBody()) != big || trailer.Get("served-by")[0] != "a" {
		t.Fatalf("answer of %d bytes, trailer %v, %v", len(res.GetPayload().GetBody()), trailer, err)
	}
	for key, want := range map[string]string{"idempotency-key": "k1", "x-forwarded-for": "10.0.0.1", "raw-bin": "\x00\xff"} {
		if got := task.seen.Get(key); len(got) != 1 || got[0] != want {
			t.Errorf("metadata %s arrived as %q", key, got)
		}
	}
	if task.limit <= 0 || task.limit > time.Minute {
		t.Errorf("the task was left %s of the caller's minute", task.limit)
	}
	_, err = client.UnaryCall(t.Context(), body("fail"))
	if status.Code(err) != codes.Aborted || status.Convert(err).Message() != "100% wrong" {
		t.Errorf("a task's status came through as %v", err)
	}
	stream, err := client.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{
		ResponseParameters: slices.Repeat([]*testpb.ResponseParameters{{Size: 1 << 20}}, 20),
	})
	got := 0
	for err == nil {
		if _, err = stream.Recv(); err == nil {
			got++
		}
	}
	if got != 20 {
		t.Errorf("%d of 20 messages arrived: %v", got, err)
	}
}

// TestACallersEndReachesTheTask: a call that its caller gives up ends there too.
func TestACallersEndReachesTheTask(t *testing.T) {
	b := setup(t, self)
	task := b.task("a")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	client := b.client(b.link())
	go func() { _, err := client.UnaryCall(ctx, body("block")); failed <- err }()
	<-task.blocked
	cancel()
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Errorf("the caller got %v", err)
	}
	if err := <-task.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the task's call ended with %v", err)
	}
}

// TestADrainingTaskGetsNoNewCalls and finishes those that it has.
func TestADrainingTaskGetsNoNewCalls(t *testing.T) {
	b := setup(t, self)
	first := b.task("a")
	client := b.client(b.link())
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	say := func() string {
		if err := stream.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return string(m.GetPayload().GetBody())
	}
	if got := say(); got != "a" {
		t.Fatalf("the stream is %s's", got)
	}
	second := b.task("b")
	drained := b.gateway.Deregister(groupARN, "a")
	for range 50 {
		if res, err := client.UnaryCall(t.Context(), body("x")); err != nil || res.GetServerId() != "b" {
			t.Fatalf("a call while a drains was served by %q, %v", res.GetServerId(), err)
		}
	}
	select {
	case <-drained:
		t.Fatal("a was let go with a stream under way")
	default:
	}
	if got := say(); got != "a" {
		t.Fatalf("the stream went to %s", got)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("the stream goes on")
	}
	<-drained
	if first.served != 0 || second.served != 50 {
		t.Errorf("a served %d calls, b %d", first.served, second.served)
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	b := setup(t, self)
	client := b.client(b.link())
	if _, err := client.UnaryCall(t.Context(), body("x")); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
