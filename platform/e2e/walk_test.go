//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
)

// handler is the file in which the walk changes the service's code.
const handler = "services/catalog/internal/rpc/version_for_walk.go"

// TestWalk is a newcomer's first hour, in order: each part builds on what the
// one before it left.
func TestWalk(t *testing.T) {
	c := newCheckout(t)
	w := &walk{checkout: c}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"up brings the system up and says where", w.up},
		{"up again changes nothing", w.upAgain},
		{"products by REST", w.rest},
		{"products by gRPC", w.grpc},
		{"a stale etag is refused", w.staleEtag},
		{"the AWS command line", w.awsCLI},
		{"the AWS SDK", w.awsSDK},
		{"a docker-style client pulls the image", w.registry},
		{"deploy --plan changes nothing", w.plan},
		{"deploy shows the new version", w.deploy},
		{"a broken build is rolled back", w.broken},
		{"a build that does not compile", w.uncompilable},
		{"rollback", w.rollback},
		{"logs", w.logs},
		{"status", w.status},
		{"down, and up again with the data", w.downUp},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t) }) {
			t.Fatalf("the walk ends at %q: what follows builds on it", part.name)
		}
	}
}

type walk struct {
	*checkout
	product string // name of the product that REST made
}

func (w *walk) up(t *testing.T) {
	r := w.checkout.up(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", w.Gateway)
	wantIn(t, "up", r.Stdout, base, "go tool mage deploy local catalog", "go tool mage down")
	if at := strings.Index(r.Stdout, "http"); at < 0 || !strings.HasPrefix(r.Stdout[at:], base) {
		t.Errorf("the first URL that up prints is not the API's base %s:\n%s", base, r.Stdout)
	}
	if strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\r") {
		t.Errorf("up wrote terminal codes into a pipe:\n%q", r.Stderr)
	}
}

func (w *walk) upAgain(t *testing.T) {
	before := w.tasks(t)
	w.mustMage(t, "up")
	if after := w.tasks(t); strings.Join(before, " ") != strings.Join(after, " ") {
		t.Errorf("up on a running system replaced tasks: %v, then %v", before, after)
	}
	r := w.mustMage(t, "up", "--json")
	for line := range strings.SplitSeq(strings.TrimSpace(r.Stdout), "\n") {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("up --json wrote a line that is not JSON: %q", line)
		}
	}
}

func (w *walk) rest(t *testing.T) {
	a := w.checkout.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Enamel mug", "sku": "MUG-1", "price": price("12", 500000000),
	})
	w.product = a.text("name")
	for i := 2; i <= 5; i++ {
		w.checkout.rest(t, http.StatusOK, "POST", fmt.Sprintf("/v1/products?productId=mug-%d", i), map[string]any{
			"title": fmt.Sprintf("Mug number %d", i), "sku": fmt.Sprintf("MUG-%d", i), "price": price("9", 0),
		})
	}
	if got := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil); got.text("title") != "Enamel mug" {
		t.Errorf("got %v", got.Body)
	}
	w.list(t)
	found := w.checkout.rest(t, http.StatusOK, "GET", "/v1/products:search?query=enamel", nil)
	if products := found.list("products"); len(products) != 1 || products[0]["name"] != w.product {
		t.Errorf("search enamel = %s", found.Raw)
	}
	batch := w.checkout.rest(t, http.StatusOK, "GET", "/v1/products:batchGet?names=products/mug-3&names=products/mug-2", nil)
	if products := batch.list("products"); len(products) != 2 || products[0]["name"] != "products/mug-3" {
		t.Errorf("batchGet = %s", batch.Raw)
	}
	bad := w.checkout.rest(t, http.StatusBadRequest, "POST", "/v1/products", map[string]any{
		"title": "No price", "sku": "bad sku",
	})
	wantIn(t, "the refusal", bad.Raw, "sku", "details")
	w.checkout.rest(t, http.StatusNotFound, "GET", "/v1/products/nothing-here", nil)
	w.checkout.rest(t, http.StatusConflict, "POST", "/v1/products?productId=mug-2", map[string]any{
		"title": "Twice", "sku": "MUG-9", "price": price("1", 0),
	})
}

// list walks all pages and wants each product once.
func (w *walk) list(t *testing.T) {
	seen := map[string]int{}
	token := ""
	for range 10 {
		a := w.checkout.rest(t, http.StatusOK, "GET", "/v1/products?pageSize=2&pageToken="+url.QueryEscape(token), nil)
		for _, p := range a.list("products") {
			seen[fmt.Sprint(p["name"])]++
		}
		if token = a.text("nextPageToken"); token == "" {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("listed %v, want five products", seen)
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s was listed %d times", name, n)
		}
	}
	filtered := w.checkout.rest(t, http.StatusOK, "GET", "/v1/products?filter="+url.QueryEscape(`sku = "MUG-4"`), nil)
	if products := filtered.list("products"); len(products) != 1 || products[0]["name"] != "products/mug-4" {
		t.Errorf("filter = %s", filtered.Raw)
	}
}

func (w *walk) grpc(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	products := catalogv1.NewCatalogServiceClient(w.dial(t))
	made, err := products.CreateProduct(ctx, &catalogv1.CreateProductRequest{
		ProductId: "kettle",
		Product: &catalogv1.Product{
			Title: "Kettle", Sku: "KETTLE", Price: &money.Money{CurrencyCode: "EUR", Units: 49},
		},
	})
	if err != nil {
		t.Fatalf("create by gRPC: %v", err)
	}
	if got := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+made.GetName(), nil); got.text("title") != "Kettle" {
		t.Errorf("REST sees %s", got.Raw)
	}
	_, err = products.GetProduct(ctx, &catalogv1.GetProductRequest{Name: "products/nothing-here"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("get of a missing product by gRPC: %v, want NotFound", err)
	}
}

func (w *walk) staleEtag(t *testing.T) {
	old := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil).text("etag")
	path := "/v1/" + w.product + "?updateMask=title"
	w.checkout.rest(t, http.StatusOK, "PATCH", path, map[string]any{"title": "Enamel mug, blue", "etag": old})
	refused := w.checkout.rest(t, http.StatusConflict, "PATCH", path, map[string]any{"title": "Lost update", "etag": old})
	wantIn(t, "the refusal", refused.Raw, "etag", "ETAG_MISMATCH")
	if got := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil); got.text("title") != "Enamel mug, blue" {
		t.Errorf("the stale update went through: %s", got.Raw)
	}
}

func (w *walk) plan(t *testing.T) {
	before := w.tasks(t)
	w.mark(t, "planned")
	r := w.mustMage(t, "deploy", "local", "catalog", "--plan")
	wantIn(t, "the plan", r.Stdout, "catalog", "sha256:")
	if after := w.tasks(t); strings.Join(before, " ") != strings.Join(after, " ") {
		t.Errorf("a plan replaced tasks: %v, then %v", before, after)
	}
}

// mark changes the service's code so that its version page says mark.
func (w *walk) mark(t *testing.T, mark string) {
	w.write(t, handler, "package rpc\n\n// Mark is what the walk looks for in a log line of the new build.\nfunc init() { println(\"mark "+mark+"\") }\n")
}

func (w *walk) deploy(t *testing.T) {
	w.mark(t, "second")
	r := w.mustMage(t, "deploy", "local", "catalog")
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "completed")
	eventually(t, 10*time.Second, "the new build's log line", func() error {
		if out := w.mustMage(t, "logs", "local", "catalog").Stdout; !strings.Contains(out, "mark second") {
			return fmt.Errorf("logs lack it:\n%s", out)
		}
		return nil
	})
	w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil)
}

func (w *walk) broken(t *testing.T) {
	const main = "services/catalog/cmd/catalog/main.go"
	sound := w.read(t, main)
	w.edit(t, main,
		"\t\"context\"\n", "\t\"context\"\n\t\"errors\"\n",
		"\treturn nil\n}", "\tb.Ready(\"walk\", func(context.Context) error { return errors.New(\"walked into a wall\") })\n\treturn nil\n}")
	defer w.write(t, main, sound)
	before := w.release(t)
	stop := w.poll(t)
	r := w.mage(t, "deploy", "local", "catalog")
	if failures := stop(); failures > 0 {
		t.Errorf("%d requests failed while the broken build was tried", failures)
	}
	if r.Code != 3 {
		t.Errorf("exit code %d, want 3 (rolled back)", r.Code)
	}
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "rolled back", "walked into a wall", "next:")
	if now := w.release(t); now != before {
		t.Errorf("release %s serves, want %s as before", now, before)
	}
}

// poll reads a product over and over until the returned function is called,
// which tells how many reads failed.
func (w *walk) poll(t *testing.T) (stop func() int) {
	done, failures := make(chan struct{}), make(chan int)
	go func() {
		failed := 0
		for {
			select {
			case <-done:
				failures <- failed
				return
			default:
			}
			if a, err := w.try("GET", "/v1/"+w.product, nil); err != nil || a.Status != http.StatusOK {
				t.Logf("read failed: %v %d %s", err, a.Status, a.Raw)
				failed++
			}
		}
	}()
	return func() int { close(done); return <-failures }
}

func (w *walk) uncompilable(t *testing.T) {
	w.write(t, handler, "package rpc\n\nvar broken int = \"text\"\n")
	r := w.mage(t, "deploy", "local", "catalog")
	if r.Code == 0 {
		t.Error("a build that does not compile was deployed")
	}
	wantIn(t, "the error", r.Stdout+r.Stderr, "version_for_walk.go:3")
	w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil)
}
