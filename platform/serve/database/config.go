// Package database connects a service to PostgreSQL: the pool from the secret
// the platform injects, transactions with retry, migrations, and what a
// driver's error means. It holds no SQL of any service.
package database

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database and how to use it. Its env tags name the variables
// a service reads it from.
type Config struct {
	// Secret is the JSON that RDS keeps in Secrets Manager:
	// {"engine","host","port","dbname","username","password"}. It wins over URL.
	Secret string `env:"DATABASE_SECRET" secret:"true"`
	// URL is a postgres:// URL, where there is no secret.
	URL string `env:"DATABASE_URL" secret:"true"`
	// SSLMode is libpq's sslmode. Unset, a secret's connection is encrypted
	// unless it stays on this machine, and a URL's is as the URL says.
	SSLMode string `env:"DATABASE_SSLMODE"`
	// SSLRootCert is a file of certificates for verify-ca and verify-full.
	SSLRootCert string `env:"DATABASE_SSLROOTCERT"`

	MaxConns         int32         `env:"DATABASE_MAX_CONNS"          envDefault:"10"`
	MaxConnLifetime  time.Duration `env:"DATABASE_CONN_LIFETIME"      envDefault:"30m"`
	MaxConnIdleTime  time.Duration `env:"DATABASE_CONN_IDLE_TIME"     envDefault:"5m"`
	ConnectTimeout   time.Duration `env:"DATABASE_CONNECT_TIMEOUT"    envDefault:"5s"`
	StatementTimeout time.Duration `env:"DATABASE_STATEMENT_TIMEOUT"  envDefault:"15s"`
	// IdleInTransaction ends a session that holds a transaction open and idle.
	IdleInTransaction time.Duration `env:"DATABASE_IDLE_TRANSACTION" envDefault:"30s"`

	// ApplicationName is what pg_stat_activity shows; the runtime sets it.
	ApplicationName string

	// Tracer sees every statement, nil for none; the runtime sets it.
	Tracer pgx.QueryTracer
}

// Defaults is the configuration for the URL with every limit at its default, for
// tools and tests that read no environment.
func Defaults(url string) Config {
	return Config{
		URL:               url,
		MaxConns:          10,
		MaxConnLifetime:   30 * time.Minute,
		MaxConnIdleTime:   5 * time.Minute,
		ConnectTimeout:    5 * time.Second,
		StatementTimeout:  15 * time.Second,
		IdleInTransaction: 30 * time.Second,
	}
}

var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// Validate reports everything that is wrong, one line each, without values
// that may hold a password.
func (c Config) Validate() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case c.Secret == "" && c.URL == "":
		add("DATABASE_SECRET: is required, or DATABASE_URL in its place")
	case c.Secret != "":
		if _, err := c.secret(); err != nil {
			add("DATABASE_SECRET: %w", err)
		}
	default:
		if _, err := pgx.ParseConfig(c.URL); err != nil {
			add("DATABASE_URL: must be a URL of the form postgres://user:password@host:port/database (its value is hidden)")
		}
	}
	if c.SSLMode != "" && !slices.Contains(sslModes, c.SSLMode) {
		add("DATABASE_SSLMODE: must be one of %s, is %q", strings.Join(sslModes, ", "), c.SSLMode)
	}
	if c.MaxConns < 1 || c.MaxConns > 1000 {
		add("DATABASE_MAX_CONNS: must be from 1 to 1000, is %d", c.MaxConns)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DATABASE_CONN_LIFETIME", c.MaxConnLifetime},
		{"DATABASE_CONN_IDLE_TIME", c.MaxConnIdleTime},
		{"DATABASE_CONNECT_TIMEOUT", c.ConnectTimeout},
		{"DATABASE_STATEMENT_TIMEOUT", c.StatementTimeout},
		{"DATABASE_IDLE_TRANSACTION", c.IdleInTransaction},
	} {
		if d.value <= 0 {
			add("%s: must be more than 0, is %v", d.name, d.value)
		}
	}
	return errors.Join(problems...)
}

// secretValue is the form of an RDS secret; port is a number or a string.
type secretValue struct {
	Host     string      `json:"host"`
	Port     json.Number `json:"port"`
	Name     string      `json:"dbname"`
	Username string      `json:"username"`
	Password string      `json:"password"`
}

// secret decodes c.Secret. Its errors never quote the input.
func (c Config) secret() (secretValue, error) {
	var s secretValue
	if err := json.Unmarshal([]byte(c.Secret), &s); err != nil {
		return secretValue{}, errors.New(`must be JSON with host, port, dbname, username and password (its value is hidden)`)
	}
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"host", s.Host}, {"dbname", s.Name}, {"username", s.Username}, {"password", s.Password},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return secretValue{}, fmt.Errorf("lacks %s", strings.Join(missing, ", "))
	}
	if s.Port == "" {
		s.Port = "5432"
	}
	if n, err := strconv.ParseUint(s.Port.String(), 10, 16); err != nil || n == 0 {
		return secretValue{}, errors.New("port must be from 1 to 65535")
	}
	return s, nil
}

// url joins the secret and the TLS settings to one connection URL.
func (c Config) url() (string, error) {
	raw := c.URL
	mode := c.SSLMode
	if c.Secret != "" {
		s, err := c.secret()
		if err != nil {
			return "", fmt.Errorf("decode DATABASE_SECRET: it %w", err)
		}
		u := url.URL{
			Scheme: "postgres",
			User:   url.UserPassword(s.Username, s.Password),
			Host:   net.JoinHostPort(s.Host, s.Port.String()),
			Path:   "/" + s.Name,
		}
		raw = u.String()
		if mode == "" && !loopback(s.Host) {
			mode = "require"
		}
	}
	if mode == "" && c.SSLRootCert == "" {
		return raw, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("parse DATABASE_URL: not a URL (its value is hidden)")
	}
	query := u.Query()
	if mode != "" {
		query.Set("sslmode", mode)
	}
	if c.SSLRootCert != "" {
		query.Set("sslrootcert", c.SSLRootCert)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// pool is the pgx form of the configuration.
func (c Config) pool() (*pgxpool.Config, error) {
	raw, err := c.url()
	if err != nil {
		return nil, err
	}
	p, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("parse database configuration: %w", err)
	}
	p.MaxConns = c.MaxConns
	p.MaxConnLifetime = c.MaxConnLifetime
	p.MaxConnLifetimeJitter = c.MaxConnLifetime / 10
	p.MaxConnIdleTime = c.MaxConnIdleTime
	p.ConnConfig.ConnectTimeout = c.ConnectTimeout
	p.ConnConfig.Tracer = c.Tracer
	params := p.ConnConfig.RuntimeParams
	params["statement_timeout"] = milliseconds(c.StatementTimeout)
	params["idle_in_transaction_session_timeout"] = milliseconds(c.IdleInTransaction)
	if c.ApplicationName != "" {
		params["application_name"] = c.ApplicationName
	}
	return p, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
