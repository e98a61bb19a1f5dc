package database

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const secret = `{"engine":"postgres","host":"db.example.com","port":5433,"dbname":"catalog","username":"catalog","password":"p@ss/w:rd?#&%'\" x"}`

func TestSecretBecomesAPool(t *testing.T) {
	t.Parallel()
	c := Defaults("")
	c.Secret = secret
	c.ApplicationName = "catalog/r7"
	p, err := c.pool()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		p.ConnConfig.Host, p.ConnConfig.Port, p.ConnConfig.Database, p.ConnConfig.User, p.ConnConfig.Password,
		p.ConnConfig.TLSConfig != nil, p.MaxConns, p.ConnConfig.ConnectTimeout,
		p.ConnConfig.RuntimeParams["statement_timeout"], p.ConnConfig.RuntimeParams["application_name"],
	}
	want := []any{
		"db.example.com", uint16(5433), "catalog", "catalog", `p@ss/w:rd?#&%'" x`,
		true, int32(10), 5 * time.Second, "15000", "catalog/r7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	local := strings.Replace(secret, "db.example.com", "127.0.0.1", 1)
	for name, tc := range map[string]struct {
		secret, url, mode string
		tls               bool // and no plain text to fall back to
	}{
		"secret":              {secret, "", "", true},
		"secret, disabled":    {secret, "", "disable", false},
		"local secret":        {local, "", "", false},
		"local, required":     {local, "", "require", true},
		"URL":                 {"", "postgres://u:p@db.example.com/x?sslmode=require", "", true},
		"URL, overridden":     {"", "postgres://u:p@db.example.com/x?sslmode=require", "disable", false},
		"full verification":   {secret, "", "verify-full", true},
		"socket":              {"", "postgres://u@/x?host=/tmp", "", false},
		"port given as text":  {strings.Replace(secret, "5433", `"5433"`, 1), "", "", true},
		"secret without port": {strings.Replace(secret, `"port":5433,`, "", 1), "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Defaults(tc.url)
			c.Secret, c.SSLMode = tc.secret, tc.mode
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			p, err := c.pool()
			if err != nil {
				t.Fatal(err)
			}
			tls := p.ConnConfig.TLSConfig != nil
			for _, f := range p.ConnConfig.Fallbacks {
				tls = tls && f.TLSConfig != nil
			}
			if tls != tc.tls {
				t.Errorf("encrypted only: %v, want %v", tls, tc.tls)
			}
		})
	}
}

func TestValidateHidesTheSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"not JSON":     {Secret: "hunter2"},
		"wrong types":  {Secret: `{"host":5,"password":"hunter2"}`},
		"bad port":     {Secret: `{"host":"h","port":"hunter2","dbname":"d","username":"u","password":"hunter2"}`},
		"not a URL":    {URL: "postgres://u:hunter2@:x:/%%%"},
		"lacks fields": {Secret: `{"password":"hunter2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.Validate()
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			if _, err := Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Open: %v", err)
			}
		})
	}
}
