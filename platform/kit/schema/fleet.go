package schema

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// fleet runs the two binaries on one database.
type fleet struct {
	*trial

	people   *people
	database string
	tasks    []*task
}

// environ is what either binary runs with.
func (f *fleet) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + f.database, "ENVIRONMENT=local", "DRAIN_DELAY=0s",
		"AUTH_ISSUER=" + issuerName, "AUTH_AUDIENCE=" + audience, "AUTH_JWKS=" + f.people.jwks,
	}
	for _, callee := range f.service.Calls { // nobody answers there
		env = append(env, strings.ToUpper(strings.ReplaceAll(callee, "-", "_"))+"_GRPC_ADDRESS=127.0.0.1:1")
	}
	if len(f.service.Calls) > 0 {
		env = append(env, "AUTH_TOKEN_URL=http://127.0.0.1:1/token", "AUTH_CLIENT_ID="+f.service.Name, "AUTH_CLIENT_SECRET=none")
	}
	return env
}

func (f *fleet) migrate(ctx context.Context, which string) error {
	cmd := exec.CommandContext(ctx, f.binary(which), "migrate")
	cmd.Env = f.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate %s to the schema %s: %w\n%s", f.service.Name, which, err, out)
	}
	return nil
}

// start starts a binary and waits until it is ready.
func (f *fleet) start(ctx context.Context, which string) (*task, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	t := &task{which: which, url: "http://127.0.0.1:" + ports[0], bearer: f.people.bearer, client: &http.Client{Timeout: time.Minute}}
	t.cmd = exec.CommandContext(ctx, f.binary(which))
	t.cmd.Env = append(f.environ(), "HTTP_PORT="+ports[0], "GRPC_PORT="+ports[1], "INTERNAL_PORT="+ports[2])
	t.cmd.Stdout, t.cmd.Stderr = &t.log, &t.log
	t.cmd.Cancel = func() error { return t.cmd.Process.Signal(syscall.SIGTERM) }
	t.cmd.WaitDelay = stopTimeout
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s %s: %w", f.service.Name, which, err)
	}
	f.tasks = append(f.tasks, t)
	if err := t.ready(ctx); err != nil {
		return nil, f.broken("the release "+which+" does not get ready", err.Error()+"\n"+t.lastLines())
	}
	return t, nil
}

// stop ends the binaries. How they end is not what is tried here.
func (f *fleet) stop() error {
	var errs []error
	for _, t := range f.tasks {
		errs = append(errs, t.end())
	}
	return errors.Join(errs...)
}

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // all at the end, so that none comes twice
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// task is a running binary.
type task struct {
	which, url, bearer string
	cmd                *exec.Cmd
	client             *http.Client
	log                lockedBuffer
	ended              bool
}

// end ends the binary; all that it logged is there then.
func (t *task) end() error {
	if t.ended {
		return nil
	}
	t.ended = true
	err := t.cmd.Process.Signal(syscall.SIGTERM)
	_ = t.cmd.Wait()
	t.client.CloseIdleConnections()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", t.which, err)
	}
	return nil
}

const (
	readyTimeout = 30 * time.Second
	readyPoll    = 50 * time.Millisecond
)

func (t *task) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		status, body, err := t.send(ctx, http.MethodGet, "/healthz", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for /healthz: %w (last: %d %s, %w)", ctx.Err(), status, body, err)
		case <-tick.C:
		}
	}
}

func (t *task) send(ctx context.Context, verb, path string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, verb, t.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+t.bearer)
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, nil, err //nolint:wrapcheck // it names the request
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, answer, nil
}

// lastLines ends the binary and returns the end of what it logged: its errors,
// or, when there were none, whatever came last.
func (t *task) lastLines() string {
	_ = t.end()
	lines := strings.Split(strings.TrimSpace(t.log.String()), "\n")
	var failures []string
	for _, line := range lines {
		if !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"level":"DEBUG"`) {
			failures = append(failures, line)
		}
	}
	if len(failures) > 0 {
		lines = failures
	}
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// Names that the tokens carry and the binaries expect.
const (
	issuerName = "https://replay.slipway"
	audience   = "slipway-replay"
	lifetime   = time.Hour
)

// people may do all that the APIs offer.
type people struct{ jwks, bearer string }

func newPeople(root string) (*people, error) {
	scopes, err := allScopes(root)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{
		KID: "replay", ALG: jwkset.AlgES256, USE: jwkset.UseSig,
	}})
	if err != nil {
		return nil, fmt.Errorf("make a key set: %w", err)
	}
	jwks, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	if err != nil {
		return nil, fmt.Errorf("make a key set: %w", err)
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": issuerName, "aud": audience, "sub": "replay", "client_id": "replay", "scope": strings.Join(scopes, " "),
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	})
	token.Header["kid"] = "replay"
	bearer, err := token.SignedString(key)
	if err != nil {
		return nil, fmt.Errorf("sign a token: %w", err)
	}
	return &people{jwks: string(jwks), bearer: bearer}, nil
}

// rulePattern finds the options that say who may call a method, scopePattern
// the scopes in one.
var (
	rulePattern  = regexp.MustCompile(`slipway\.auth\.v1\.rule\)[^;]*;`)
	scopePattern = regexp.MustCompile(`"([^"]+)"`)
)

func allScopes(root string) ([]string, error) {
	var scopes []string
	protos := os.DirFS(filepath.Join(root, "proto", "slipway"))
	err := fs.WalkDir(protos, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".proto" {
			return err
		}
		data, err := fs.ReadFile(protos, path)
		for _, rule := range rulePattern.FindAllString(string(data), -1) {
			for _, m := range scopePattern.FindAllStringSubmatch(rule, -1) {
				scopes = append(scopes, m[1])
			}
		}
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return nil, fmt.Errorf("read the scopes of the APIs: %w", err)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// lockedBuffer is written by a process and read meanwhile.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p) //nolint:wrapcheck // never fails
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
