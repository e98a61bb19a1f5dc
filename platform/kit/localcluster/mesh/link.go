package mesh

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// link is a route that is served.
type link struct {
	route   Route
	port    int
	address string
	server  *http.Server
	done    chan struct{} // closed when the server has ended
	forward atomic.Pointer[http.Handler]
}

// aim sends the calls from now on elsewhere.
func (l *link) aim(forward http.Handler) { l.forward.Store(&forward) }

// connectionKey finds the connection in a request's context.
type connectionKey struct{}

// idleTimeout is Service Connect's for gRPC.
const idleTimeout = 5 * time.Minute

// serve answers on the listener from now on.
func (m *Mesh) serve(r Route, listener net.Listener) *link {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // for an answer that curl can read
	protocols.SetUnencryptedHTTP2(true)
	l := &link{route: r, address: listener.Addr().String(), done: make(chan struct{})}
	l.aim(m.cfg.Forward(r.Rule))
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		l.port = addr.Port
	}
	l.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			conn, _ := req.Context().Value(connectionKey{}).(*connection) // ConnContext puts it there
			if who := conn.peer(); !who.mayCall(r) {
				m.cfg.Logger.WarnContext(req.Context(), "call between services refused", "caller", who.name(), "link", r.key(), "method", req.URL.Path)
				refuse(w, req, r, who)
				return
			}
			(*l.forward.Load()).ServeHTTP(w, req)
		}),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(m.cfg.Logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, m.peers.connection(c))
		},
	}
	go func() {
		defer close(l.done)
		_ = l.server.Serve(listener) // it says that it was closed
	}()
	return l
}

func (l *link) told() Link { return Link{Route: l.route, Address: l.address} }

// close stops listening, lets calls finish until ctx ends, and cuts the rest.
func (l *link) close(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = l.server.Close()
	}
	<-l.done
	return err
}

// cut ends everything at once.
func (l *link) cut() {
	_ = l.server.Close() // it closes what it can
	<-l.done
}
