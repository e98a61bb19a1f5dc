package rest

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// metadataOf is what a request's call receives as metadata: the headers of
// requestHeaders, the request's id, and where the request came from, as the
// gateway would say it. Values that gRPC cannot carry are left out.
func metadataOf(r *http.Request) metadata.MD {
	md := make(metadata.MD, 8) // what Go holds without a second table
	for key, values := range r.Header {
		if name, ok := requestHeaders[key]; ok {
			if values = carried(values); len(values) > 0 {
				md[name] = values
			}
		}
	}
	own := make([]string, 3) // one piece of memory for three values
	if id := requestid.From(r.Context()); id != "" {
		own[0] = id
		md[requestid.Key] = own[0:1:1]
	}
	if own[1] = forwardedHost(r); own[1] != "" {
		md["x-forwarded-host"] = own[1:2:2]
	}
	if own[2] = forwardedFor(r); own[2] != "" {
		md["x-forwarded-for"] = own[2:3:3]
	}
	return md
}

// forwardedHost is the host that the client asked for.
func forwardedHost(r *http.Request) string {
	if host := r.Header.Get("X-Forwarded-Host"); host != "" && printable(host) {
		return host
	}
	if printable(r.Host) {
		return r.Host
	}
	return ""
}

// forwardedFor is the client's address and those of the proxies in between.
func forwardedFor(r *http.Request) string {
	all := carried(r.Header["X-Forwarded-For"])
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil && printable(host) {
		if len(all) == 0 {
			return host
		}
		all = append(slices.Clip(all), host)
	}
	return strings.Join(all, ", ")
}

// carried are the values that gRPC can carry.
func carried(values []string) []string {
	for _, v := range values {
		if !printable(v) {
			return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !printable(v) })
		}
	}
	return values
}

// printable reports whether gRPC can carry the value as text: printable ASCII
// (gRPC over HTTP/2, ASCII-Value).
func printable(value string) bool {
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7E {
			return false
		}
	}
	return true
}

// gatewayHeader keeps the headers that the gateway's own code asks for, nil for
// none of them.
func gatewayHeader(all http.Header) http.Header {
	var some http.Header
	for _, key := range [...]string{"Content-Type", "Accept", "Te", "Grpc-Timeout"} {
		if values := all[key]; values != nil {
			if some == nil {
				some = make(http.Header)
			}
			some[key] = values
		}
	}
	return some
}
