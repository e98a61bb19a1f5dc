package traces

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const grpcPrefix = "/opentelemetry.proto.collector.trace.v1.TraceService/"

// serveGRPC answers a call, or turns it away before anything of it is read.
func (r *Receiver) serveGRPC(w http.ResponseWriter, req *http.Request) {
	if req.ProtoMajor != 2 || !strings.HasPrefix(req.Header.Get("Content-Type"), typeGRPC) {
		http.Error(w, "this is gRPC, over HTTP/2", http.StatusUnsupportedMediaType)
		return
	}
	if !r.enter() {
		refused := busy(ErrBusy)
		h := w.Header()
		h.Set("Content-Type", typeGRPC)
		h.Set("Grpc-Status", strconv.Itoa(int(refused.Code())))
		h.Set("Grpc-Message", refused.Message())
		if raw, err := proto.Marshal(refused.Proto()); err == nil {
			h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(raw))
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	defer r.leave()
	ctx, cancel := context.WithTimeout(req.Context(), readLimit)
	defer cancel()
	r.grpc.ServeHTTP(w, req.WithContext(ctx))
}

// busy is the answer to come again (OTLP specification, "OTLP/gRPC
// Throttling").
func busy(why error) *status.Status {
	s := status.New(codes.Unavailable, why.Error())
	detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(comeAgain * time.Second)})
	if err != nil {
		return s
	}
	return detailed
}

// exporter is the receiver as a gRPC service.
type exporter struct {
	collectorpb.UnimplementedTraceServiceServer

	receiver *Receiver
}

// Export takes spans.
func (e exporter) Export(_ context.Context, request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	answer, err := e.receiver.accept(request)
	switch {
	case errors.Is(err, ErrBusy), errors.Is(err, ErrClosed):
		return nil, busy(err).Err()
	case err != nil:
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return answer, nil
}
