package mesh

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Reason is the reason of a refusal in its ErrorInfo.
const Reason = "CALL_NOT_DECLARED"

// refuse answers a caller for whom the route is not: for gRPC a status without
// a message ("Trailers-Only", gRPC over HTTP2), for others a small JSON body.
func refuse(w http.ResponseWriter, req *http.Request, r Route, who identity) {
	why := fmt.Sprintf("this address is for tasks of %s that call %s, and the caller is %s", r.Caller, r.Callee, who.name())
	next := "go tool mage token, and call through the gateway"
	if who.process != nil {
		next = fmt.Sprintf("add %s to calls in services/%s/service.yaml, then go tool mage up", r.Callee, who.process.Service)
	}
	if req.ProtoMajor != 2 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "{\"code\":%d,\"reason\":%q,\"message\":%q,\"next\":%q}\n", http.StatusForbidden, Reason, why, next)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(codes.PermissionDenied)))
	h.Set("Grpc-Message", strings.ReplaceAll(why+"; next: "+next, "%", "%25"))
	s, err := status.New(codes.PermissionDenied, why+"; next: "+next).WithDetails(&errdetails.ErrorInfo{
		Reason: Reason, Domain: "slipway", Metadata: map[string]string{"caller": who.name(), "callee": r.Callee, "next": next},
	})
	if err == nil {
		if raw, err := proto.Marshal(s.Proto()); err == nil {
			h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(raw))
		}
	}
	w.WriteHeader(http.StatusOK)
}
