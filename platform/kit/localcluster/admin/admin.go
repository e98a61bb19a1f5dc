// Package admin is the embedded cluster's administration interface: what the
// owner of the infrastructure does in AWS through Terraform and what the ECS
// protocols do not cover. It serves target groups, listener rules, databases,
// the ways between services and tokens below /_slipway/ on the cluster's
// endpoint, to holders of the cluster's token.
package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// Prefix is the path below which the interface is served.
const Prefix = "/_slipway/"

const (
	targetGroupPath = Prefix + "target-group"
	targetPath      = Prefix + "target"
	rulePath        = Prefix + "rule"
	databasePath    = Prefix + "database"
	meshPath        = Prefix + "mesh"
	issuerPath      = Prefix + "issuer"
	tokenPath       = Prefix + "token"
	maxBody         = 1 << 20
)

// Gateway is the load balancer that the interface configures.
type Gateway interface {
	PutTargetGroup(tg gateway.TargetGroup) error
	DeclareRules(rules []gateway.Rule) error
	Rules() []gateway.Rule
	Targets(groupARN string) map[string]gateway.TargetHealth
}

// Databases is the server on which services get their databases.
type Databases interface {
	// Ensure makes a role and a database of that name, and sets the role's
	// password.
	Ensure(ctx context.Context, name, password string) error
}

// Database asks for a role and a database of its own for a service.
type Database struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Mesh is the way from service to service.
type Mesh interface {
	// Set makes the routes all that there are.
	Set(routes []mesh.Route) ([]mesh.Link, error)
}

// Issuer issues tokens.
type Issuer interface {
	Configure(setup issuer.Setup) error
	Mint(req issuer.Request) (issuer.Token, error)
}

// Config says what the interface administers.
type Config struct {
	Info      daemon.Info
	Gateway   Gateway
	Databases Databases
	Mesh      Mesh
	Issuer    Issuer
	Logger    *slog.Logger
}

// NewHandler serves the interface.
func NewHandler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+daemon.StatusPath, func(w http.ResponseWriter, _ *http.Request) {
		shown := cfg.Info
		shown.Token = ""
		show(w, shown)
	})
	mux.HandleFunc("PUT "+targetGroupPath, accept(cfg.Logger, func(_ context.Context, tg gateway.TargetGroup) error {
		return cfg.Gateway.PutTargetGroup(tg)
	}))
	mux.HandleFunc("GET "+targetPath, func(w http.ResponseWriter, r *http.Request) {
		show(w, cfg.Gateway.Targets(r.URL.Query().Get("group")))
	})
	mux.HandleFunc("PUT "+rulePath, accept(cfg.Logger, func(_ context.Context, rules []gateway.Rule) error {
		return cfg.Gateway.DeclareRules(rules)
	}))
	mux.HandleFunc("GET "+rulePath, func(w http.ResponseWriter, _ *http.Request) { show(w, cfg.Gateway.Rules()) })
	mux.HandleFunc("PUT "+databasePath, accept(cfg.Logger, func(ctx context.Context, d Database) error {
		if d.Name == "" || d.Password == "" {
			return errors.New("a database needs a name and a password")
		}
		return cfg.Databases.Ensure(ctx, d.Name, d.Password)
	}))
	mux.HandleFunc("PUT "+meshPath, exchange(cfg.Logger, func(routes []mesh.Route) ([]mesh.Link, error) { return cfg.Mesh.Set(routes) }))
	mux.HandleFunc("PUT "+issuerPath, accept(cfg.Logger, func(_ context.Context, s issuer.Setup) error {
		return cfg.Issuer.Configure(s)
	}))
	mux.HandleFunc("POST "+tokenPath, exchange(cfg.Logger, func(req issuer.Request) (issuer.Token, error) { return cfg.Issuer.Mint(req) }))
	return authorized(cfg.Info.Token, mux)
}

// authorized lets only holders of the token through. The comparison takes the
// same time wherever the two differ.
func authorized(token string, next http.Handler) http.Handler {
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "this needs the cluster's token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// accept decodes the body strictly and hands it on.
func accept[T any](log *slog.Logger, apply func(context.Context, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := read[T](r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, log, apply(r.Context(), v))
	}
}

// exchange decodes the body strictly and answers with what is made of it.
func exchange[T, U any](log *slog.Logger, apply func(T) (U, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := read[T](r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got, err := apply(v)
		if err != nil {
			answer(w, log, err)
			return
		}
		show(w, got)
	}
}

func read[T any](r *http.Request) (v T, err error) {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, fmt.Errorf("read body: %w", err)
	}
	return v, nil
}

func answer(w http.ResponseWriter, log *slog.Logger, err error) {
	if err != nil {
		log.Warn("administration call refused", "error", err)
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the client may be gone; the types are ours
}
