package serve_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve"
)

type ownConfig struct {
	Pages  int    `env:"ECHO_PAGES" envDefault:"10"`
	Key    string `env:"ECHO_KEY,required"`
	Colour string `env:"ECHO_COLOUR"`
}

func (c *ownConfig) Validate() error {
	if c.Colour == "grey" {
		return errors.New(`ECHO_COLOUR: must not be "grey"`)
	}
	return nil
}

func TestInvalidConfigurationListsEverything(t *testing.T) {
	t.Parallel()
	svc := newEcho().withDatabase()
	svc.Config = &ownConfig{}
	svc.Setup = func(context.Context, *serve.Builder) error { t.Error("Setup ran"); return nil }
	_, err := serve.Complete(t.Context(), svc, map[string]string{
		"HTTP_PORT":          "eighty",
		"GRPC_PORT":          "70000",
		"BIND_ADDRESS":       "everywhere",
		"LOG_LEVEL":          "loud",
		"REQUEST_TIMEOUT":    "15",
		"SHUTDOWN_TIMEOUT":   "1s",
		"MAX_REQUEST_BYTES":  "0",
		"DATABASE_SECRET":    `{"host":"db","password":"hunter2"}`,
		"DATABASE_SSLMODE":   "maybe",
		"DATABASE_MAX_CONNS": "0",
		"ECHO_PAGES":         "ten",
		"ECHO_COLOUR":        "grey",
	}, &bytes.Buffer{})
	var invalid *serve.ConfigError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	want := []string{
		`BIND_ADDRESS: must be an IP address, is "everywhere"`,
		`DATABASE_MAX_CONNS: must be from 1 to 1000, is 0`,
		`DATABASE_SECRET: lacks dbname, username`,
		`DATABASE_SSLMODE: must be one of disable, allow, prefer, require, verify-ca, verify-full, is "maybe"`,
		`ECHO_COLOUR: must not be "grey"`,
		`ECHO_KEY: is required`,
		`ECHO_PAGES: must be a whole number, is "ten"`,
		`GRPC_PORT: must be from 0 to 65535, is 70000`,
		`HTTP_PORT: must be a whole number, is "eighty"`,
		`LOG_LEVEL: must be debug, info, warn or error, is "loud"`,
		`MAX_REQUEST_BYTES: must be at least 1024, is 0`,
		`REQUEST_TIMEOUT: must be a duration such as 500ms or 30s, is "15"`,
		`SHUTDOWN_TIMEOUT: must be more than DRAIN_DELAY (2s), is 1s`,
	}
	if got := strings.Join(invalid.Problems, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "next: ") {
		t.Errorf("the text is %s", err)
	}
}

func TestConfigurationIsLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	svc := newEcho().withDatabase()
	svc.Config = &ownConfig{}
	app, err := serve.Complete(t.Context(), svc, map[string]string{
		"DATABASE_URL": "postgres://user:hunter2@127.0.0.1:1/x", "ECHO_KEY": "hunter3", "ECHO_COLOUR": "blue", "HTTP_PORT": "0", "GRPC_PORT": "0", "INTERNAL_PORT": "0", "DRAIN_DELAY": "0s",
	}, &logs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := app.Run(ctx); err != nil {
		t.Fatal(err)
	}
	text := logs.String()
	for _, want := range []string{`"DATABASE_URL":"(set)"`, `"ECHO_KEY":"(set)"`, `"ECHO_COLOUR":"blue"`, `"DATABASE_MAX_CONNS":"10"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(text, "hunter") {
		t.Errorf("the log holds a secret: %s", text)
	}
}
