package serve

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/probe"
)

// Service describes one service to the runtime.
type Service struct {
	// Name is the service's name as in its manifest, e.g. "catalog". Required.
	// NAME.slipway is the default domain of the ErrorInfo of its errors.
	Name string

	// Setup registers the gRPC services, the REST routes and background work.
	// It runs once, before anything listens; the pool it gets connects on first
	// use. Required.
	Setup func(ctx context.Context, b *Builder) error

	// Migrations holds goose SQL migrations, at its root or in a folder called
	// "migrations". A service that has migrations has a database.
	Migrations fs.FS

	// Jobs says that the service has background jobs: their tables are migrated
	// before the service's own, and Builder.Jobs may be used.
	Jobs bool

	// Invariants are what always holds of the service's data; the subcommand
	// "check" looks for rows that break them.
	Invariants []database.Invariant

	// OpenAPI is the document served at /openapi.json; nil serves none.
	OpenAPI []byte

	// Config, where set, is a pointer to a struct with `env` tags that is
	// decoded together with the runtime's own configuration, so that all
	// mistakes are reported at once. If it has a method Validate() error, that
	// is called too. Tag a field `secret:"true"` to keep its value out of logs.
	Config any
}

// Registrar binds REST routes to the service's gRPC methods. The connection
// reaches this process's own gRPC methods with every interceptor running; the
// answers it gives are read only. The generated code sees the headers
// Content-Type, Accept, TE and Grpc-Timeout of a request; what else may pass is in
// the metadata of the call.
type Registrar func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error

// Builder collects what a service consists of. It is only valid during Setup.
// It is a grpc.ServiceRegistrar, so generated Register functions take it.
type Builder struct {
	registrations []registration
	gateways      []Registrar
	checks        []probe.Check
	workers       []worker
	pool          *pgxpool.Pool
	log           *slog.Logger
	outward       outward
}

type registration struct {
	desc *grpc.ServiceDesc
	impl any
}

type worker struct {
	name string
	run  func(context.Context) error
}

var _ grpc.ServiceRegistrar = (*Builder)(nil)

// RegisterService adds a gRPC service; generated code calls it.
func (b *Builder) RegisterService(desc *grpc.ServiceDesc, impl any) {
	b.registrations = append(b.registrations, registration{desc: desc, impl: impl})
}

// services lists the full names of the gRPC services.
func (b *Builder) services() []string {
	names := make([]string, len(b.registrations))
	for i, r := range b.registrations {
		names[i] = r.desc.ServiceName
	}
	return names
}

// methods is what the registered services' protos say of their methods.
func (b *Builder) methods() access.Methods {
	descs := make([]*grpc.ServiceDesc, len(b.registrations))
	for i, r := range b.registrations {
		descs[i] = r.desc
	}
	return access.Of(descs...)
}

// Gateway adds REST routes. Use the generated Register...HandlerClient with a
// client made from conn.
func (b *Builder) Gateway(register Registrar) { b.gateways = append(b.gateways, register) }

// Ready adds a readiness check. The process is ready when every check returns
// nil; its error is logged, not shown to the prober.
func (b *Builder) Ready(name string, fn func(context.Context) error) {
	b.checks = append(b.checks, probe.Check{Name: name, Run: fn})
}

// Go adds background work that starts with the listeners. Its context ends
// once the last request is answered; it must then return soon. An error from it
// ends the process.
func (b *Builder) Go(name string, run func(context.Context) error) {
	b.workers = append(b.workers, worker{name: name, run: run})
}

// Pool is the service's database pool, nil if it has no migrations. It
// connects on first use and is closed after the drain.
func (b *Builder) Pool() *pgxpool.Pool { return b.pool }

// Logger is the process's JSON logger, with service, version and environment.
func (b *Builder) Logger() *slog.Logger { return b.log }
