package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

type databases struct{ made map[string]string }

func (d databases) Ensure(_ context.Context, name, password string) error {
	if name == "taken" {
		return errors.New("the name is reserved")
	}
	d.made[name] = password
	return nil
}

// ways is a mesh at one address.
type ways struct{}

func (ways) Set(routes []mesh.Route) ([]mesh.Link, error) {
	links := make([]mesh.Link, 0, len(routes))
	for _, r := range routes {
		if r.Callee == "" {
			return nil, errors.New("callee is needed")
		}
		links = append(links, mesh.Link{Route: r, Address: "127.0.0.1:30000"})
	}
	return links, nil
}

// tokens is an issuer that knows one audience.
type tokens struct{}

func (tokens) Configure(s issuer.Setup) error {
	if s.Audience == "" {
		return errors.New("the audience is empty")
	}
	return nil
}

func (tokens) Mint(r issuer.Request) (issuer.Token, error) {
	if len(r.Scopes) == 0 {
		return issuer.Token{}, errors.New("no scope is given")
	}
	return issuer.Token{Value: "a.b.c", Subject: r.Subject, Scopes: r.Scopes}, nil
}

func serve(t *testing.T) (databases, *Client, string) {
	t.Helper()
	gw, err := gateway.New(gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gw.Close)
	db := databases{made: map[string]string{}}
	info := daemon.Info{Token: "secret", PID: 7}
	server := httptest.NewServer(NewHandler(Config{
		Info: info, Gateway: gw, Databases: db, Mesh: ways{}, Issuer: tokens{}, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	info.Endpoint = server.URL
	return db, NewClient(info), server.URL
}

func TestClientAndServerAgree(t *testing.T) {
	ctx := t.Context()
	db, client, _ := serve(t)
	group := gateway.TargetGroup{ARN: "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/a/1", Name: "a"}
	if err := client.PutTargetGroup(ctx, group); err != nil {
		t.Fatal(err)
	}
	if targets, err := client.Targets(ctx, group.ARN); err != nil || targets == nil || len(targets) != 0 {
		t.Errorf("Targets = %v, %v, want none", targets, err)
	}
	rule := gateway.Rule{
		ID: "a-http /v1/a*", Priority: 3,
		Conditions: []gateway.Condition{{Field: gateway.PathPattern, Values: []string{"/v1/a*"}}},
		Forward:    []gateway.WeightedGroup{{TargetGroupARN: group.ARN, Weight: 1}},
	}
	if err := client.DeclareRules(ctx, []gateway.Rule{rule}); err != nil {
		t.Fatal(err)
	}
	rules, err := client.Rules(ctx)
	if err != nil || len(rules) != 1 || rules[0].ID != rule.ID {
		t.Fatalf("Rules = %v, %v", rules, err)
	}
	if err := client.DeclareRules(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if rules, err := client.Rules(ctx); err != nil || len(rules) != 0 {
		t.Errorf("after all are gone: %v, %v", rules, err)
	}
	if err := client.PutDatabase(ctx, Database{Name: "a", Password: "p"}); err != nil || db.made["a"] != "p" {
		t.Errorf("PutDatabase: %v, made %v", err, db.made)
	}
	if err := client.PutDatabase(ctx, Database{Name: "taken", Password: "p"}); err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("PutDatabase of a reserved name = %v, want the server's reason", err)
	}
}

func TestClientAndServerAgreeOnServices(t *testing.T) {
	ctx := t.Context()
	_, client, _ := serve(t)
	route := mesh.Route{Caller: "orders", Callee: "catalog", Family: "f", Rule: "arn"}
	links, err := client.SetMesh(ctx, []mesh.Route{route})
	if err != nil || len(links) != 1 || links[0].Route != route || links[0].Address == "" {
		t.Errorf("SetMesh = %v, %v", links, err)
	}
	if links, err := client.SetMesh(ctx, nil); err != nil || len(links) != 0 {
		t.Errorf("SetMesh of nothing = %v, %v", links, err)
	}
	if _, err := client.SetMesh(ctx, []mesh.Route{{Caller: "orders"}}); err == nil || !strings.Contains(err.Error(), "callee is needed") {
		t.Errorf("SetMesh without a callee = %v, want the server's reason", err)
	}
	if err := client.PutIssuer(ctx, issuer.Setup{Audience: "a"}); err != nil {
		t.Errorf("PutIssuer = %v", err)
	}
	token, err := client.Token(ctx, issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}})
	if err != nil || token.Value != "a.b.c" || token.Subject != "me" {
		t.Errorf("Token = %+v, %v", token, err)
	}
	if _, err := client.Token(ctx, issuer.Request{Subject: "me"}); err == nil || !strings.Contains(err.Error(), "no scope is given") {
		t.Errorf("Token without a scope = %v, want the server's reason", err)
	}
}

func TestOnlyHoldersOfTheTokenAreServed(t *testing.T) {
	_, _, url := serve(t)
	for name, header := range map[string]string{"none": "", "wrong": "Bearer wrong", "empty": "Bearer ", "other scheme": "Basic secret"} {
		for _, call := range []struct{ method, path string }{
			{http.MethodGet, daemon.StatusPath},
			{http.MethodPut, targetGroupPath},
			{http.MethodPut, rulePath},
			{http.MethodGet, rulePath},
			{http.MethodGet, targetPath},
			{http.MethodDelete, rulePath + "/x"},
			{http.MethodPut, databasePath},
			{http.MethodPut, meshPath},
			{http.MethodPut, issuerPath},
			{http.MethodPost, tokenPath},
		} {
			req, err := http.NewRequestWithContext(t.Context(), call.method, url+call.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", header)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s with token %s: %s, want 401", call.method, call.path, name, resp.Status)
			}
		}
	}
}

func TestStatusKeepsTheTokenToItself(t *testing.T) {
	_, client, _ := serve(t)
	var info daemon.Info
	if err := client.call(t.Context(), http.MethodGet, daemon.StatusPath, nil, &info); err != nil {
		t.Fatal(err)
	}
	if info.PID != 7 || info.Token != "" {
		t.Errorf("status = %+v, want the process id and no token", info)
	}
}

func TestUnknownMembersAreRefused(t *testing.T) {
	_, client, _ := serve(t)
	err := client.call(t.Context(), http.MethodPut, databasePath, map[string]string{"name": "a", "pasword": "p"}, nil)
	if err == nil || !strings.Contains(err.Error(), "pasword") {
		t.Errorf("a misspelt member = %v, want an error that names it", err)
	}
}
