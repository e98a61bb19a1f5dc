package outbound

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

const (
	fetchTimeout = 3 * time.Second // of one request to the issuer, whoever waits for it
	fetchPause   = 500 * time.Millisecond
	renewEarly   = time.Minute      // before a token's end, at most a fifth of its life
	tooOld       = 5 * time.Second  // before its end a token is not sent any more
	unknownLife  = 5 * time.Minute  // of a token whose issuer does not say
	idleTimeout  = 30 * time.Second // of the connection to the issuer
)

// tokens keeps one access token, got by client credentials. It is renewed while
// the old one still holds, so that calls do not wait and a short absence of the
// issuer is not felt.
type tokens struct {
	cfg    clientcredentials.Config
	callee string
	log    *slog.Logger
	clock  clockwork.Clock
	client *http.Client
	group  singleflight.Group
	life   context.Context //nolint:containedctx // ends with the connection, not with a call
	end    context.CancelFunc

	mu      sync.Mutex
	current accessToken
	failure error     // of the last fetch
	retry   time.Time // when the issuer is asked again after it
}

type accessToken struct {
	text          string
	renew, expiry time.Time
}

func newTokens(t Target) *tokens {
	clock := t.Clock
	if clock == nil {
		clock = clockwork.NewRealClock()
	}
	s := &tokens{
		callee: t.Callee, log: t.Log, clock: clock,
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: idleTimeout}},
		cfg: clientcredentials.Config{
			ClientID: t.ClientID, ClientSecret: t.ClientSecret, TokenURL: t.TokenURL, Scopes: t.Scopes, AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func (s *tokens) close() {
	s.end()
	s.client.CloseIdleConnections()
}

// get gives a token that holds for some seconds more. Its error is a status.
func (s *tokens) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	now, current, failure, paused := s.clock.Now(), s.current, s.failure, s.clock.Now().Before(s.retry)
	s.mu.Unlock()
	holds := current.text != "" && now.Before(current.expiry.Add(-tooOld))
	switch {
	case holds && (paused || now.Before(current.renew)):
		return current.text, nil
	case holds:
		s.group.DoChan("", s.fetch)
		return current.text, nil
	case paused:
		return "", s.unavailable(failure)
	}
	select {
	case r := <-s.group.DoChan("", s.fetch):
		if r.Err != nil {
			return "", s.unavailable(r.Err)
		}
		return r.Val.(string), nil //nolint:forcetypeassert // fetch's own type
	case <-ctx.Done():
		return "", status.FromContextError(ctx.Err()).Err() //nolint:wrapcheck // a status
	}
}

// drop forgets the token if it is the current one.
func (s *tokens) drop(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.text == text {
		s.current = accessToken{}
	}
}

// fetch asks the issuer, once for all that wait.
func (s *tokens) fetch() (any, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(s.life, oauth2.HTTPClient, s.client), fetchTimeout)
	defer cancel()
	got, err := s.cfg.Token(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if err != nil {
		s.failure, s.retry = fmt.Errorf("get access token: %w", err), now.Add(fetchPause)
		s.log.LogAttrs(ctx, slog.LevelWarn, "no access token for calls", slog.String("callee", s.callee), slog.Any("error", err))
		return nil, s.failure
	}
	life := unknownLife
	if !got.Expiry.IsZero() {
		life = time.Until(got.Expiry) // the library adds the issuer's seconds to the real time
	}
	expiry := now.Add(life)
	s.failure, s.retry = nil, time.Time{}
	s.current = accessToken{text: got.AccessToken, expiry: expiry, renew: expiry.Add(-min(renewEarly, life/5))}
	return got.AccessToken, nil
}

// unavailable is what a call without a token ends with. The issuer's answer is in
// the log.
func (s *tokens) unavailable(error) error {
	e := errs.Newf(errs.Unavailable, "TOKEN_UNAVAILABLE", "there is no access token for calls to %s; retry later", s.callee).
		With("callee", s.callee).After(time.Second)
	return problem.StatusOf(e, domain).Err() //nolint:wrapcheck // a status
}
