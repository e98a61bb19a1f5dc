// Package inspect answers, on a port of its own that only this machine reaches,
// what a person asks who looks into a running process: what it was built from,
// how it is configured, what it does with its time.
package inspect

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
)

// Config is what there is to show.
type Config struct {
	Service, Version string
	Settings         map[string]string   // the configuration, secrets masked
	Interceptors     []string            // their names, outermost first
	Methods          map[string][]string // the scopes of each gRPC method; "public" for none
	Running          func() (unary, streams int64)
}

// NewHandler makes the pages:
//
//	/buildinfo           module, version, commit, Go version, dependencies
//	/config              every variable with its value
//	/debug/interceptors  the chain that each call runs through
//	/debug/methods       who may call which method
//	/debug/load          the calls that run now
//	/debug/pprof/        profiles (net/http/pprof)
func NewHandler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /buildinfo", func(w http.ResponseWriter, _ *http.Request) { show(w, BuildOf(cfg.Service, cfg.Version)) })
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) { show(w, cfg.Settings) })
	mux.HandleFunc("GET /debug/interceptors", func(w http.ResponseWriter, _ *http.Request) { show(w, cfg.Interceptors) })
	mux.HandleFunc("GET /debug/methods", func(w http.ResponseWriter, _ *http.Request) { show(w, cfg.Methods) })
	mux.HandleFunc("GET /debug/load", func(w http.ResponseWriter, _ *http.Request) {
		unary, streams := cfg.Running()
		show(w, map[string]int64{"requests": unary, "streams": streams})
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return local(mux)
}

// local refuses requests that name another host than this machine: a page in
// somebody's browser may have pointed its own name at 127.0.0.1 (DNS rebinding).
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this port answers to 127.0.0.1 alone", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) //nolint:errchkjson // the client may be gone; the types are ours
}

// Build is what a binary was made from.
type Build struct {
	Service      string            `json:"service"`
	Version      string            `json:"version"` // of the release
	Module       string            `json:"module"`
	Commit       string            `json:"commit,omitempty"`
	CommitTime   string            `json:"commit_time,omitempty"`
	Dirty        bool              `json:"dirty"` // built from more than the commit
	Go           string            `json:"go"`
	Settings     map[string]string `json:"settings"`     // of the build, e.g. GOARCH, -trimpath
	Dependencies map[string]string `json:"dependencies"` // version by module path
}

// BuildOf reads it from the running binary.
func BuildOf(service, version string) Build {
	b := Build{Service: service, Version: version, Settings: map[string]string{}, Dependencies: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Module, b.Go = info.Main.Path, info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.CommitTime = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		default:
			b.Settings[s.Key] = s.Value
		}
	}
	for _, d := range info.Deps {
		if d.Replace != nil && d.Replace.Version != "" {
			d = d.Replace
		}
		b.Dependencies[d.Path] = d.Version
	}
	return b
}
