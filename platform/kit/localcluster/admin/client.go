package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// Client administers a running cluster.
type Client struct {
	info daemon.Info
	http *http.Client
}

// NewClient returns a client of the cluster that info tells of.
func NewClient(info daemon.Info) *Client { return &Client{info: info, http: &http.Client{}} }

// PutTargetGroup creates or changes a target group.
func (c *Client) PutTargetGroup(ctx context.Context, tg gateway.TargetGroup) error {
	return c.call(ctx, http.MethodPut, targetGroupPath, tg, nil)
}

// Targets returns the health of a target group's targets by their ids.
func (c *Client) Targets(ctx context.Context, groupARN string) (map[string]gateway.TargetHealth, error) {
	var targets map[string]gateway.TargetHealth
	err := c.call(ctx, http.MethodGet, targetPath+"?group="+url.QueryEscape(groupARN), nil, &targets)
	return targets, err
}

// DeclareRules makes the listener rules all that there are, but for the weights
// of those that exist.
func (c *Client) DeclareRules(ctx context.Context, rules []gateway.Rule) error {
	if rules == nil {
		rules = []gateway.Rule{}
	}
	return c.call(ctx, http.MethodPut, rulePath, rules, nil)
}

// Rules lists the listener rules by ascending priority.
func (c *Client) Rules(ctx context.Context) ([]gateway.Rule, error) {
	var rules []gateway.Rule
	err := c.call(ctx, http.MethodGet, rulePath, nil, &rules)
	return rules, err
}

// PutDatabase makes a service's database and role, or sets the role's password.
func (c *Client) PutDatabase(ctx context.Context, d Database) error {
	return c.call(ctx, http.MethodPut, databasePath, d, nil)
}

// SetMesh makes the routes all the ways between services that there are, and
// returns where each caller finds its callee, in the routes' order.
func (c *Client) SetMesh(ctx context.Context, routes []mesh.Route) ([]mesh.Link, error) {
	if routes == nil {
		routes = []mesh.Route{}
	}
	var links []mesh.Link
	err := c.call(ctx, http.MethodPut, meshPath, routes, &links)
	return links, err
}

// PutIssuer sets the audience of tokens and who may ask for them.
func (c *Client) PutIssuer(ctx context.Context, setup issuer.Setup) error {
	return c.call(ctx, http.MethodPut, issuerPath, setup, nil)
}

// Token mints a token.
func (c *Client) Token(ctx context.Context, req issuer.Request) (issuer.Token, error) {
	var token issuer.Token
	err := c.call(ctx, http.MethodPost, tokenPath, req, &token)
	return token, err
}

func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.info.Endpoint+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("call cluster: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.info.Token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call cluster: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status says enough
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	return nil
}
