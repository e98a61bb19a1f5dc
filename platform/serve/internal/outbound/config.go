package outbound

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// Config is what all of a service's connections share. Its env tags name the
// variables it is read from.
type Config struct {
	// Timeout bounds one unary call, retries included, within its caller's deadline.
	Timeout time.Duration `env:"OUTBOUND_TIMEOUT" envDefault:"5s"`

	// TokenURL, ClientID and ClientSecret get the service's own tokens by OAuth
	// 2.0 client credentials (RFC 6749, section 4.4).
	TokenURL     string `env:"AUTH_TOKEN_URL"`
	ClientID     string `env:"AUTH_CLIENT_ID"`
	ClientSecret string `env:"AUTH_CLIENT_SECRET" secret:"true"`
}

// Validate reports everything that is out of range.
func (c Config) Validate() error {
	if c.Timeout <= 0 {
		return fmt.Errorf("OUTBOUND_TIMEOUT: must be more than 0, is %v", c.Timeout)
	}
	return nil
}

// Target is one callee.
type Target struct {
	Config

	Callee  string   // its name in the manifests
	Address string   // host:port
	Scopes  []string // of the tokens; none means calls without a token
	Log     *slog.Logger

	Telemetry *telemetry.Telemetry // nil traces nothing
	Breaker   Breaker
	Clock     clockwork.Clock // of the tokens; nil means the real one
}

// Variable names the environment variable with the callee's address.
func Variable(callee string) string {
	return strings.ToUpper(strings.ReplaceAll(callee, "-", "_")) + "_GRPC_ADDRESS"
}

// validate reports what the target lacks.
func (t Target) validate() error {
	variable := Variable(t.Callee)
	if t.Address == "" {
		return fmt.Errorf("connect to %s: %s is not set\nnext: name %s among the calls in service.yaml", t.Callee, variable, t.Callee)
	}
	bare := t.Address
	if _, name, ok := strings.Cut(bare, ":///"); ok { // with a resolver's scheme
		bare = name
	}
	if _, _, err := net.SplitHostPort(bare); err != nil {
		return fmt.Errorf("connect to %s: %s must be host:port, is %q", t.Callee, variable, t.Address)
	}
	if len(t.Scopes) > 0 && (t.TokenURL == "" || t.ClientID == "" || t.ClientSecret == "") {
		return errors.New("connect to " + t.Callee + ": AUTH_TOKEN_URL, AUTH_CLIENT_ID and AUTH_CLIENT_SECRET are all required for its scopes" +
			"\nnext: name " + t.Callee + " among the calls in service.yaml")
	}
	return nil
}
