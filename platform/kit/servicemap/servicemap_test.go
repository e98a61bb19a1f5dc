package servicemap_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/servicemap"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// grpc is the part of a manifest that every callee needs.
func grpc(name string) string { return "grpc: {service: slipway." + name + ".v1.Service}\n" }

var maps = map[string]map[string]string{
	"shop": {
		"catalog":    "team: shop\nhttp: {routes: [\"/v1/products*\"]}\ndatabase: {engine: postgres}\n" + grpc("catalog"),
		"inventory":  "team: stock\nhttp: {routes: [\"/v1/stockItems*\", \"/v1/reservations*\"]}\ndatabase: {engine: postgres}\n" + grpc("inventory"),
		"orders":     "team: checkout\nhttp: {routes: [\"/v1/orders*\"]}\ncalls: [inventory, catalog]\ndatabase: {engine: postgres}\n" + grpc("orders"),
		"returns":    "calls: [orders, price-list]\n",
		"price-list": grpc("prices"),
		"mailer":     "",
	},
	"circle": {
		"a": "calls: [b]\n" + grpc("a"),
		"b": "calls: [c]\n" + grpc("b"),
		"c": "calls: [a]\n" + grpc("c"),
		"d": "calls: [a]\n",
	},
	"nothing": {},
}

func draw(t *testing.T, services map[string]string) servicemap.Map {
	t.Helper()
	files := fstest.MapFS{"services/README.md": {}}
	for name, text := range services {
		files["services/"+name+"/service.yaml"] = &fstest.MapFile{Data: []byte("name: " + name + "\n" + text)}
	}
	work, err := manifest.LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return servicemap.New(work)
}

func TestFormats(t *testing.T) {
	for name, services := range maps {
		for _, format := range []servicemap.Format{servicemap.Text, servicemap.Mermaid, servicemap.Dot, servicemap.JSON} {
			t.Run(name+" as "+string(format), func(t *testing.T) {
				got, err := draw(t, services).Write(format)
				if err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", name+"."+string(format))
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", golden, diff)
				}
			})
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := draw(t, nil).Write("svg")
	var unknown *servicemap.UnknownFormatError
	if !errors.As(err, &unknown) || unknown.ExitCode() != 2 || unknown.Next() == "" {
		t.Errorf("got %v", err)
	}
}
