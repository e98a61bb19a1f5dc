// Package serve is the runtime every service is built on. A service says what
// it is (Service) and what it registers (Builder); serve owns the rest: the
// configuration, the listeners, gRPC and REST in one binary, interceptors,
// health, the database pool, migrations and a drain that drops no request.
//
//	func main() {
//		os.Exit(serve.Main(serve.Service{
//			Name:       "catalog",
//			Migrations: store.Migrations,
//			OpenAPI:    catalogv1.OpenAPI,
//			Setup: func(ctx context.Context, b *serve.Builder) error {
//				catalogv1.RegisterCatalogServiceServer(b, rpc.New(store.New(b.Pool())))
//				b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
//					return catalogv1.RegisterCatalogServiceHandlerClient(ctx, mux, catalogv1.NewCatalogServiceClient(conn))
//				})
//				return nil
//			},
//		}))
//	}
//
// A binary's life has three steps. Complete decodes and validates everything
// and reports all that is wrong at once; Run binds the ports and serves until
// its context ends; the drain then answers what was accepted. Only Main knows
// of signals and of the process environment.
//
// serve imports neither the deploy kit nor a service.
package serve
