//go:build deps

package x

import (
	_ "buf.build/go/protovalidate"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/uuid"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jonboulle/clockwork"
	_ "github.com/riverqueue/river"
	_ "github.com/riverqueue/river/riverdriver/riverpgxv5"
	_ "github.com/riverqueue/river/rivertest"
	_ "github.com/riverqueue/river/rivertype"
	_ "github.com/slipway-dev/slipway/platform/serve"
	_ "github.com/slipway-dev/slipway/platform/serve/servetest"
	_ "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	_ "go.einride.tech/aip/filtering"
	_ "go.einride.tech/aip/pagination"
	_ "go.einride.tech/aip/resourcename"
	_ "google.golang.org/genproto/googleapis/type/money"
	_ "google.golang.org/grpc"
	_ "pgregory.net/rapid"
)
