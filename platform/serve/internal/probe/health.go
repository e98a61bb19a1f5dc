package probe

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const watchInterval = time.Second

// Health is the gRPC health service. Its status follows readiness, for the
// whole server ("") and for every registered service alike.
type Health struct {
	healthpb.UnimplementedHealthServer

	ready    *Readiness
	services map[string]bool
	stopping <-chan struct{} // closed when streams must end
}

// NewHealth answers for the named services. Watches end when stopping is closed.
func NewHealth(ready *Readiness, services []string, stopping <-chan struct{}) *Health {
	h := &Health{ready: ready, services: make(map[string]bool, len(services)), stopping: stopping}
	for _, name := range services {
		h.services[name] = true
	}
	return h
}

// Check answers with the status now.
func (h *Health) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !h.knows(req.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service") //nolint:wrapcheck // the protocol's answer
	}
	return &healthpb.HealthCheckResponse{Status: h.status(ctx)}, nil
}

// List answers with the status of every service.
func (h *Health) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now := h.status(ctx)
	all := map[string]*healthpb.HealthCheckResponse{"": {Status: now}}
	for name := range h.services {
		all[name] = &healthpb.HealthCheckResponse{Status: now}
	}
	return &healthpb.HealthListResponse{Statuses: all}, nil
}

// Watch sends the status and each change of it, until the drain.
func (h *Health) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if h.knows(req.GetService()) {
			now = h.status(stream.Context())
		}
		if now != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err //nolint:wrapcheck // a transport status
			}
			last = now
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-h.stopping:
			return status.Error(codes.Unavailable, "the server is shutting down") //nolint:wrapcheck // the stream's end
		case <-tick.C:
		}
	}
}

func (h *Health) knows(service string) bool { return service == "" || h.services[service] }

func (h *Health) status(ctx context.Context) healthpb.HealthCheckResponse_ServingStatus {
	if h.ready.Report(ctx).Ready() {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}
