package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// Config is the runtime's configuration; README.md explains each variable.
type Config struct {
	Name        string `env:"SERVICE_NAME"`
	Version     string `env:"SERVICE_VERSION" envDefault:"dev"`
	Environment string `env:"ENVIRONMENT"     envDefault:"local"`

	BindAddress string `env:"BIND_ADDRESS" envDefault:"127.0.0.1"`
	HTTPPort    int    `env:"HTTP_PORT"    envDefault:"8080"` // 0 takes a free one
	GRPCPort    int    `env:"GRPC_PORT"    envDefault:"9090"` // 0 takes a free one

	// InternalPort answers people on the same machine: profiles, build and
	// configuration. It is bound to 127.0.0.1 whatever BindAddress is; 0 takes a
	// free one.
	InternalPort int `env:"INTERNAL_PORT" envDefault:"9091"`

	// AuthIssuer and AuthAudience are what access tokens must say, AuthJWKSURL or
	// AuthJWKS (the document itself) the keys they are signed with. Required if a
	// method asks for a token.
	AuthIssuer   string `env:"AUTH_ISSUER"`
	AuthAudience string `env:"AUTH_AUDIENCE"`
	AuthJWKSURL  string `env:"AUTH_JWKS_URL"`
	AuthJWKS     string `env:"AUTH_JWKS"`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`

	// RequestTimeout bounds a unary call whose caller sets no deadline,
	// RequestTimeoutMax one whose caller does, StreamTimeout every stream.
	RequestTimeout    time.Duration `env:"REQUEST_TIMEOUT"     envDefault:"15s"`
	RequestTimeoutMax time.Duration `env:"REQUEST_TIMEOUT_MAX" envDefault:"60s"`
	StreamTimeout     time.Duration `env:"STREAM_TIMEOUT"      envDefault:"15m"`

	// StreamMaxAge is when Draining tells a stream to end so that its client
	// connects again. A load balancer that deregisters a task cuts off the streams
	// that outlast its deregistration delay, and says nothing before: keep this
	// below that delay, and every client hears why.
	StreamMaxAge time.Duration `env:"STREAM_MAX_AGE" envDefault:"1m"`

	// HeaderTimeout is how long an HTTP request's headers may take to arrive.
	HeaderTimeout time.Duration `env:"HEADER_TIMEOUT" envDefault:"5s"`

	// MaxRequestBytes bounds a request's body or message, MaxHeaderBytes its
	// headers.
	MaxRequestBytes int `env:"MAX_REQUEST_BYTES" envDefault:"1048576"`
	MaxHeaderBytes  int `env:"MAX_HEADER_BYTES"  envDefault:"32768"`

	// MaxConcurrentRequests bounds the unary calls that run at once, over all
	// protocols, MaxConcurrentStreams the streams; more are refused. MaxConnections
	// bounds the connections of each port.
	MaxConcurrentRequests int `env:"MAX_CONCURRENT_REQUESTS" envDefault:"256"`
	MaxConcurrentStreams  int `env:"MAX_CONCURRENT_STREAMS"  envDefault:"1000"`
	MaxConnections        int `env:"MAX_CONNECTIONS"         envDefault:"4096"`

	// MaxConnectionAge is when a gRPC client is told to connect again, so that
	// connections spread over new tasks.
	MaxConnectionAge time.Duration `env:"GRPC_MAX_CONNECTION_AGE" envDefault:"5m"`

	// DrainDelay is how long a draining process still accepts, while load
	// balancers notice that it is not ready. ShutdownTimeout bounds the whole
	// drain; it stays under the 30 s that ECS waits before SIGKILL (stopTimeout).
	DrainDelay      time.Duration `env:"DRAIN_DELAY"      envDefault:"2s"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s"`

	// Outbound is for calls to other services, Telemetry for traces.
	Outbound  outbound.Config
	Telemetry telemetry.Config

	// Database is decoded only for a service with migrations.
	Database database.Config
}

// ConfigError lists everything that is wrong with a configuration.
type ConfigError struct {
	Service  string
	Problems []string // "VARIABLE: what is wrong", sorted
}

// Error is one line per problem and the next step.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("configuration of %s is not valid:\n  %s\nnext: set these variables (platform/serve/README.md lists them)",
		e.Service, strings.Join(e.Problems, "\n  "))
}

// decode reads the runtime's and the service's configuration and reports all
// that is wrong with both at once.
func decode(svc Service, environ map[string]string) (Config, error) {
	var cfg Config
	var problems []string
	targets := []any{&cfg, &cfg.Outbound, &cfg.Telemetry}
	if svc.Migrations != nil {
		targets = append(targets, &cfg.Database)
	}
	if svc.Config != nil {
		targets = append(targets, svc.Config)
	}
	for _, target := range targets {
		problems = append(problems, parse(target, environ)...)
		if v, ok := target.(interface{ Validate() error }); ok {
			problems = append(problems, flatten(v.Validate())...)
		}
	}
	if cfg.Name == "" {
		cfg.Name = svc.Name
	}
	if len(problems) > 0 {
		return Config{}, &ConfigError{Service: cfg.Name, Problems: tidy(problems)}
	}
	cfg.Database.ApplicationName = cfg.Name + "/" + cfg.Version
	return cfg, nil
}

// tidy sorts and keeps one problem for a variable: a value that could not be
// decoded would otherwise be reported as empty, too.
func tidy(problems []string) []string {
	var kept []string
	seen := make(map[string]bool)
	for _, p := range problems {
		name, _, ok := strings.Cut(p, ":")
		if ok && seen[name] {
			continue
		}
		seen[name] = true
		kept = append(kept, p)
	}
	slices.Sort(kept)
	return kept
}

// parse decodes environ into target and names the variable of each failure.
func parse(target any, environ map[string]string) []string {
	err := env.ParseWithOptions(target, env.Options{Environment: environ})
	if err == nil {
		return nil
	}
	all := []error{err}
	if many, ok := errors.AsType[env.AggregateError](err); ok {
		all = many.Errors
	}
	variables := variablesOf(reflect.TypeOf(target).Elem())
	problems := make([]string, 0, len(all))
	for _, err := range all {
		problems = append(problems, explain(err, variables, environ))
	}
	return problems
}

func explain(err error, variables []variable, environ map[string]string) string {
	if p, ok := errors.AsType[env.ParseError](err); ok {
		for _, v := range variables {
			switch {
			case v.field != p.Name:
			case v.secret:
				return v.name + ": is not a valid " + p.Type.String() + " (its value is hidden)"
			default:
				return fmt.Sprintf("%s: must be %s, is %q", v.name, wanted(p.Type), environ[v.name])
			}
		}
	}
	if missing, ok := errors.AsType[env.VarIsNotSetError](err); ok {
		return missing.Key + ": is required"
	}
	if empty, ok := errors.AsType[env.EmptyVarError](err); ok {
		return empty.Key + ": must not be empty"
	}
	return err.Error()
}

// wanted says in words what a value of the type looks like.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 500ms or 30s"
	case t == reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	default:
		return "a valid " + t.String()
	}
}

// flatten splits joined errors into their lines.
func flatten(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// Validate reports everything that is out of range.
func (c *Config) Validate() error {
	var problems []error
	add := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	add(net.ParseIP(c.BindAddress) != nil, "BIND_ADDRESS: must be an IP address, is %q", c.BindAddress)
	add(c.HTTPPort >= 0 && c.HTTPPort <= 65535, "HTTP_PORT: must be from 0 to 65535, is %d", c.HTTPPort)
	add(c.GRPCPort >= 0 && c.GRPCPort <= 65535, "GRPC_PORT: must be from 0 to 65535, is %d", c.GRPCPort)
	add(c.GRPCPort == 0 || c.GRPCPort != c.HTTPPort, "GRPC_PORT: must differ from HTTP_PORT, both are %d", c.GRPCPort)
	add(c.InternalPort >= 0 && c.InternalPort <= 65535, "INTERNAL_PORT: must be from 0 to 65535, is %d", c.InternalPort)
	add(c.InternalPort == 0 || (c.InternalPort != c.HTTPPort && c.InternalPort != c.GRPCPort),
		"INTERNAL_PORT: must differ from HTTP_PORT and GRPC_PORT, is %d", c.InternalPort)
	add(c.AuthJWKSURL == "" || trustworthy(c.AuthJWKSURL, c.Environment),
		"AUTH_JWKS_URL: must be an https URL (http only on this machine or where ENVIRONMENT is local), is %q", c.AuthJWKSURL)
	add(c.RequestTimeout > 0, "REQUEST_TIMEOUT: must be more than 0, is %v", c.RequestTimeout)
	add(c.RequestTimeoutMax >= c.RequestTimeout, "REQUEST_TIMEOUT_MAX: must be at least REQUEST_TIMEOUT (%v), is %v",
		c.RequestTimeout, c.RequestTimeoutMax)
	add(c.HeaderTimeout > 0, "HEADER_TIMEOUT: must be more than 0, is %v", c.HeaderTimeout)
	add(c.StreamTimeout > 0, "STREAM_TIMEOUT: must be more than 0, is %v", c.StreamTimeout)
	add(c.StreamMaxAge > 0, "STREAM_MAX_AGE: must be more than 0, is %v", c.StreamMaxAge)
	add(c.MaxRequestBytes >= 1024, "MAX_REQUEST_BYTES: must be at least 1024, is %d", c.MaxRequestBytes)
	add(c.MaxHeaderBytes >= 4096 && c.MaxHeaderBytes <= 1<<24, "MAX_HEADER_BYTES: must be from 4096 to 16777216, is %d", c.MaxHeaderBytes)
	add(c.MaxConcurrentRequests >= 1 && c.MaxConcurrentRequests <= 1<<20, "MAX_CONCURRENT_REQUESTS: must be from 1 to 1048576, is %d", c.MaxConcurrentRequests)
	add(c.MaxConcurrentStreams >= 1 && c.MaxConcurrentStreams <= 1<<20, "MAX_CONCURRENT_STREAMS: must be from 1 to 1048576, is %d", c.MaxConcurrentStreams)
	add(c.MaxConnections >= 1, "MAX_CONNECTIONS: must be at least 1, is %d", c.MaxConnections)
	add(c.MaxConnectionAge >= time.Second, "GRPC_MAX_CONNECTION_AGE: must be at least 1s, is %v", c.MaxConnectionAge)
	add(c.DrainDelay >= 0, "DRAIN_DELAY: must not be negative, is %v", c.DrainDelay)
	add(c.ShutdownTimeout > c.DrainDelay, "SHUTDOWN_TIMEOUT: must be more than DRAIN_DELAY (%v), is %v",
		c.DrainDelay, c.ShutdownTimeout)
	return errors.Join(problems...)
}
