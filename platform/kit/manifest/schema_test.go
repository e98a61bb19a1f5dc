package manifest_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

var update = flag.Bool("update", false, "rewrite the committed schemas")

func TestCommittedSchemas(t *testing.T) {
	t.Parallel()
	for file, generate := range map[string]func() ([]byte, error){
		"service.schema.json": manifest.ServiceSchema, "environment.schema.json": manifest.EnvironmentSchema,
	} {
		want, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date; mend it by: go -C platform/kit test ./manifest -update\n%s", file, diff)
		}
	}
}

// TestSchemaAndDecoderAgree: on what a schema can say, an editor and the kit
// give the same answer.
func TestSchemaAndDecoderAgree(t *testing.T) {
	t.Parallel()
	schemas := map[string]*jsonschema.Schema{}
	for file, generate := range map[string]func() ([]byte, error){catalog: manifest.ServiceSchema, staging: manifest.EnvironmentSchema} {
		data, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("schema.json", doc); err != nil {
			t.Fatal(err)
		}
		if schemas[file], err = c.Compile("schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		file, text string
		valid      bool
	}{
		{catalog, catalogYAML, true},
		{catalog, "name: catalog\nsize: {cpu: 512, memory: 1024}\ndeploy: {bake: 1h30m}\nenv: {A: \"1\"}", true},
		{catalog, "name: catalog\nhtpp: {}", false},
		{catalog, "team: x", false},
		{catalog, "name: Catalog", false},
		{catalog, "name: catalog\nhttp: {}", false},
		{catalog, "name: catalog\nhttp: {routes: []}", false},
		{catalog, "name: catalog\nhttp: {routes: [/a, /a]}", false},
		{catalog, "name: catalog\nhttp: {routes: [/1, /2, /3, /4, /5, /6]}", false},
		{catalog, "name: catalog\nhttp: {routes: [a]}", false},
		{catalog, "name: catalog\nsize: {cpu: \"256\"}", false},
		{catalog, "name: catalog\nsize: {cpu: 100}", false},
		{catalog, "name: catalog\nscale: {max: 0}", false},
		{catalog, "name: catalog\ndeploy: {strategy: x}", false},
		{catalog, "name: catalog\ndeploy: {bake: 5}", false},
		{catalog, "name: catalog\nslo: {availability: 100}", false},
		{catalog, "name: catalog\nenv: {a: x}", false},
		{catalog, "name: catalog\nenv: {A: 1}", false},
		{staging, stagingYAML, true},
		{staging, stagingYAML + "all: {scale: {min: 0}}\nservices: {catalog: {env: {A: x}}}", true},
		{staging, supplied("  key: k.pem\n  vulnerabilities: {fail_on: never, database: \"https://db.example.com/vuln\", ignore: {GO-2026-0001: {reason: \"not reached\", until: \"2026-12-31\"}}}"), true},
		{staging, supplied("  key: k.pem\n  dirty: maybe"), false},
		{staging, supplied("  key: k.pem\n  vulnerabilities: {ignore: {GO-2026-0001: {reason: \"not reached\"}}}"), false},
		{staging, supplied("  key: k.pem\n  vulnerabilities: {ignore: {X: {reason: \"not reached\", until: \"2026-12-31\"}}}"), false},
		{staging, stagingYAML + "services: {catalog: {calls: []}}", false},
		{staging, "name: staging\naccount: 111111111111\nregion: eu-central-1", false},
	}
	for _, tc := range cases {
		var doc any
		if err := yaml.Unmarshal([]byte(tc.text), &doc); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{catalog: catalogYAML}
		files[tc.file] = tc.text
		_, decoded := manifest.LoadFS(tree(files))
		schema := schemas[tc.file].Validate(doc)
		if (decoded == nil) != tc.valid || (schema == nil) != tc.valid {
			t.Errorf("%s\nvalid %t; decoder: %v; schema: %v", tc.text, tc.valid, decoded, schema)
		}
	}
}
