//go:build deps

package deps

import (
	_ "github.com/slipway-dev/slipway/platform/serve"
	_ "buf.build/go/protovalidate"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/pressly/goose/v3"
	_ "go.einride.tech/aip/filtering"
	_ "go.uber.org/goleak"
	_ "google.golang.org/genproto/googleapis/type/money"
	_ "google.golang.org/grpc"
	_ "pgregory.net/rapid"
)
