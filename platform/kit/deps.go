//go:build deps

package kit

import (
	_ "github.com/MicahParks/jwkset"
	_ "github.com/bufbuild/protocompile"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "go.opentelemetry.io/otel/trace"
	_ "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	_ "go.etcd.io/bbolt"
	_ "golang.org/x/time/rate"
	_ "golang.org/x/mod/modfile"
)
