package request

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
)

const (
	service  = "catalog"
	password = "bench"
	audience = "slipway-bench"
	keyID    = "bench"
)

// environment is what the programs run on: the database, and a server that
// publishes the issuer's keys and swallows traces.
type environment struct {
	root, temp string
	progress   io.Writer
	database   *postgres.Server
	url        string // of the database
	server     *http.Server
	base       string // URL of the server
	key        *ecdsa.PrivateKey
	traces     atomic.Int64 // bytes swallowed
}

func newEnvironment(ctx context.Context, root, temp string, progress io.Writer) (*environment, error) {
	e := &environment{root: root, temp: temp, progress: progress}
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"build the programs", e.build},
		{"start PostgreSQL", e.startDatabase},
		{"fill the database", e.fill},
		{"publish keys", e.serve},
	} {
		fmt.Fprintln(progress, step.what)
		if err := step.run(ctx); err != nil {
			e.stop(ctx)
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return e, nil
}

func (e *environment) stop(ctx context.Context) {
	if e.server != nil {
		_ = e.server.Close()
	}
	if e.database != nil {
		_ = e.database.Stop(context.WithoutCancel(ctx))
	}
}

func (e *environment) program(name string) string { return filepath.Join(e.temp, name) }

// build compiles both programs as releases are compiled.
func (e *environment) build(ctx context.Context) error {
	for name, from := range map[string]struct{ dir, pkg string }{
		service: {filepath.Join(e.root, "services", service), "./cmd/" + service},
		"bare":  {filepath.Join(e.root, "platform", "kit"), "./bench/request/bare"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", e.program(name), from.pkg)
		cmd.Dir = from.dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

func (e *environment) startDatabase(ctx context.Context) error {
	cache, err := place.Cache()
	if err != nil {
		return err
	}
	have, err := postgres.Obtain(ctx, cache, nil)
	if err != nil {
		return err
	}
	e.database, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(e.temp, "postgres"), Installations: have})
	if err != nil {
		return err
	}
	if err := e.database.Ensure(ctx, service, password); err != nil {
		return err
	}
	e.url = fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", service, password, e.database.Addr(), service)
	return nil
}

// productID is the id of the n-th product, n from 0, productPath where it is.
func productID(n int) string { return fmt.Sprintf("bench-%04d", n) }

const productPath = "/v1/products/bench-%04d"

// fill migrates with the service's own migrations and adds the products.
func (e *environment) fill(ctx context.Context) error {
	migrate := exec.CommandContext(ctx, e.program(service), "migrate")
	migrate.Env = []string{"DATABASE_URL=" + e.url}
	if out, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	conn, err := pgx.Connect(ctx, e.url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	batch := &pgx.Batch{}
	for n := range products {
		batch.Queue(`INSERT INTO products (id, uid, sku, title, description, price_currency, price_units, price_nanos, labels, state, create_time, update_time)
VALUES ($1, gen_random_uuid(), $2, $3, $4, 'EUR', $5, 500000000, '{"color": "blue", "material": "enamel"}', 'ACTIVE', now(), now())`,
			productID(n), fmt.Sprintf("BENCH-%04d", n), fmt.Sprintf("Enamel mug %d", n),
			"Holds a third of a litre and does not mind being dropped.", n%90+10)
	}
	batch.Queue("ANALYZE products")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("insert products: %w", err)
	}
	return nil
}

// serve answers for the issuer and for the receiver of traces.
func (e *environment) serve(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	e.key = key
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{
		KID: keyID, ALG: jwkset.AlgES256, USE: jwkset.UseSig,
	}})
	if err != nil {
		return fmt.Errorf("make key set: %w", err)
	}
	keys, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	if err != nil {
		return fmt.Errorf("make key set: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keys)
	})
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		e.traces.Add(n)
		w.Header().Set("Content-Type", "application/x-protobuf") // an empty ExportTraceServiceResponse
	})
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	e.base = "http://" + l.Addr().String()
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = e.server.Serve(l) }()
	return nil
}

// token is what the load is sent with.
func (e *environment) token() (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": e.base, "aud": audience, "sub": "bench", "client_id": "bench", "scope": "catalog.read",
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	})
	t.Header["kid"] = keyID
	text, err := t.SignedString(e.key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text, nil
}

// subjects starts what is compared; the first one is what the others are
// compared with. It returns those it started even if it fails.
func (e *environment) subjects(ctx context.Context) ([]*subject, error) {
	token, err := e.token()
	if err != nil {
		return nil, err
	}
	base := map[string]string{
		"DATABASE_URL": e.url, "DATABASE_MAX_CONNS": strconv.Itoa(poolSize), "ENVIRONMENT": "local",
		"AUTH_ISSUER": e.base, "AUTH_AUDIENCE": audience, "AUTH_JWKS_URL": e.base + "/jwks.json",
	}
	tracing := func(ratio string) map[string]string {
		return map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": e.base, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio,
		}
	}
	var all []*subject
	for _, c := range []struct {
		name, program string
		logs          bool
		env           map[string]string
	}{
		{"bare net/http and pgx", "bare", false, map[string]string{"DATABASE_URL": e.url + "&pool_max_conns=" + strconv.Itoa(poolSize)}},
		{"catalog, tracing off", service, true, map[string]string{"OTEL_SDK_DISABLED": "true"}},
		{"catalog, 5 % traced", service, true, tracing("0.05")},
		{"catalog, 100 % traced", service, true, tracing("1")},
	} {
		fmt.Fprintf(e.progress, "start %s\n", c.name)
		s := &subject{name: c.name, token: token, logs: c.logs}
		all = append(all, s)
		env := c.env
		if c.program == service {
			env = maps.Clone(base)
			maps.Copy(env, c.env)
		}
		if err := s.start(ctx, e.program(c.program), env); err != nil {
			return all, err
		}
	}
	return all, nil
}
