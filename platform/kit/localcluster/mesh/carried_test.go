package mesh_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// TestCarriedCallersAreKnown: whose connection is carried by another process is
// judged as the task that it is carried for.
func TestCarriedCallersAreKnown(t *testing.T) {
	for name, c := range map[string]struct {
		family  string
		refused bool
	}{
		"the caller":      {route.Family, false},
		"another service": {"slipway-local-inventory", true},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := gateway.New(gateway.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			m, err := mesh.New(mesh.Config{
				Forward: g.Forward, Store: &memory{keys: map[string][]byte{}}, Base: 33000,
				Processes: func() []mesh.Process { return nil },
				Carried: func(from *net.TCPAddr) (mesh.Process, bool) {
					return mesh.Process{Family: c.family, Service: strings.TrimPrefix(c.family, "slipway-local-")}, from.IP.IsLoopback()
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Close(t.Context()) }()
			links, err := m.Set([]mesh.Route{route})
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := client.Get("http://" + links[0].Address + "/slipway.catalog.v1.CatalogService/GetProduct")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if got := strings.Contains(string(body), "CALL_NOT_DECLARED") || res.StatusCode == http.StatusForbidden; got != c.refused {
				t.Errorf("refused: %t, want %t: %s %s", got, c.refused, res.Status, body)
			}
		})
	}
}
