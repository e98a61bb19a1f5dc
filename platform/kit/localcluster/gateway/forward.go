package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// Forward returns a handler for the way of one service to another: it sends
// every request where the rule of that ID sends its own, or, when to is the ARN
// of a target group, there. It picks a group and a target for each request, as
// the rules' listener does, but is no load balancer to either side: headers pass
// as they are, and a target that refuses the connection, to which nothing was
// sent, is passed over for the next one. What is not there, or not yet, has no
// healthy target.
func (g *Gateway) Forward(to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gr := (*g.byARN.Load())[to]
		if rt := (*g.byID.Load())[to]; rt != nil {
			gr = rt.choose()
		}
		if gr == nil {
			answer(w, r, http.StatusServiceUnavailable, "no healthy target")
			return
		}
		body := &keptBody{ReadCloser: r.Body}
		defer func() { _ = body.ReadCloser.Close() }() // the server does so in any case
		r.Body = body
		g.forward(w, r, gr, true)
	})
}

// attempts bounds how many targets one request is tried on.
const attempts = 4

// keptBody outlives an attempt that sent nothing.
type keptBody struct{ io.ReadCloser }

// Close leaves the body open for the next attempt.
func (*keptBody) Close() error { return nil }

// send passes the request to a target. It reports true when the next target is
// to be tried.
func (g *Gateway) send(ctx context.Context, w http.ResponseWriter, r *http.Request, f *flight) (again bool) {
	// Deferred, for the proxy panics to abort a response that breaks off.
	defer f.group.land(f)
	f.refused = false
	f.target.proxy.ServeHTTP(w, r.WithContext(context.WithValue(ctx, flightKey{}, f)))
	return f.refused
}

// passOver reports whether a failed request goes to another target: one from
// service to service of which no byte was sent.
func (f *flight) passOver(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	if !f.direct || !ok || dial.Op != "dial" || f.tried >= attempts {
		return false
	}
	f.refused = true
	return true
}

// probeNow asks for a probe of the target at once.
func (t *target) probeNow() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}
