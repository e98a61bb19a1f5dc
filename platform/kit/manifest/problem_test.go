package manifest_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TestProblems is the table of what can be wrong, one file at a time beside a
// healthy repository, with the exact text that the user reads.
func TestProblems(t *testing.T) {
	t.Parallel()
	healthy := map[string]string{catalog: catalogYAML, orders: ordersYAML, staging: stagingYAML}
	cases := map[string]struct {
		file, text string
		want       []string
	}{
		"unknown key": {catalog, "name: catalog\nhtpp: {routes: [/x]}", []string{
			`services/catalog/service.yaml:2: unknown key "htpp"; did you mean "http"?`,
			`services/orders/service.yaml:6: service "catalog" has no gRPC interface to call; give it grpc in services/catalog/service.yaml`,
		}},
		"nested unknown key": {orders, "name: orders\nsize: {cpus: 256}", []string{
			`services/orders/service.yaml:2: unknown key "cpus" in size; did you mean "cpu"?`,
		}},
		"far from any key": {orders, "name: orders\nsize: {replicas: 256}", []string{
			`services/orders/service.yaml:2: unknown key "replicas" in size; known: cpu, memory, arch`,
		}},
		"key twice": {orders, "name: orders\nteam: a\nteam: b", []string{
			`services/orders/service.yaml:3: key "team" is there twice; it is on line 2 already`,
		}},
		"no name": {orders, "team: a", []string{
			`services/orders/service.yaml:1: key "name" is missing; Name of the service; equals its folder's name.`,
		}},
		"other name": {orders, "name: order", []string{
			`services/orders/service.yaml:1: name is "order" in folder orders; it must be "orders"`,
		}},
		"bad name": {orders, "name: Orders_1", []string{
			`services/orders/service.yaml:1: name cannot be "Orders_1"; it must be a DNS label: lower-case letters, digits and dashes, beginning with a letter, at most 32 characters`,
		}},
		"empty":       {orders, "# nothing\n", []string{`services/orders/service.yaml:1: the file is empty; begin with: name: NAME`}},
		"not YAML":    {orders, "name: [orders\n", []string{`services/orders/service.yaml:1: not valid YAML: sequence end token ']' not found`}},
		"a list":      {orders, "- name", []string{`services/orders/service.yaml:1: the file is a list; it must be a mapping of keys to values`}},
		"two docs":    {orders, "name: orders\n---\nname: orders", []string{`services/orders/service.yaml:3: a second document begins here; one file holds one document`}},
		"no value":    {orders, "name: orders\nsize:", []string{`services/orders/service.yaml:2: size has no value; give it one or remove the key`}},
		"wrong kind":  {orders, "name: orders\ncalls: catalog", []string{`services/orders/service.yaml:2: calls is the text "catalog"; it must be a list, such as [one, two]`}},
		"text number": {orders, "name: orders\nsize: {cpu: \"256\"}", []string{`services/orders/service.yaml:2: size.cpu is the text "256"; it must be a whole number`}},
		"tag":         {orders, "name: !!str orders", []string{`services/orders/service.yaml:1: tags are not used here; remove !!str`}},
		"alias":       {orders, "name: *x", []string{`services/orders/service.yaml:1: alias *x has no anchor before it`}},
		"merge key":   {orders, "name: orders\nsize: &s {cpu: 256}\nscale: {<<: *s}", []string{`services/orders/service.yaml:3: merge keys are not used here; write the values out`}},
		"fargate pair": {orders, "name: orders\nsize: {cpu: 256, memory: 4096}", []string{
			`services/orders/service.yaml:2: Fargate does not sell 256 CPU units with 4096 MiB; with cpu 256 the memory must be 512, 1024 or 2048`,
		}},
		"big fargate pair": {orders, "name: orders\nsize:\n  cpu: 8192\n  memory: 17000", []string{
			`services/orders/service.yaml:4: Fargate does not sell 8192 CPU units with 17000 MiB; with cpu 8192 the memory must be 16384, 20480, ... 61440 (steps of 4096)`,
		}},
		"fargate cpu": {orders, "name: orders\nsize: {cpu: 300}", []string{
			`services/orders/service.yaml:2: Fargate does not sell 300 CPU units; cpu must be 256, 512, 1024, 2048, 4096, 8192 or 16384`,
		}},
		"range": {orders, "name: orders\nscale: {min: -1}", []string{`services/orders/service.yaml:2: scale.min cannot be -1; it must be from 0 to 5000`}},
		"min over max": {orders, "name: orders\nscale: {min: 5, max: 2}", []string{
			`services/orders/service.yaml:2: scale.min 5 is greater than scale.max 2; min must be at most max`,
		}},
		"route form": {orders, "name: orders\nhttp: {routes: [v1/orders]}", []string{
			`services/orders/service.yaml:2: http.routes[0] cannot be "v1/orders"; it must be a path pattern: it begins with / and holds at most 128 letters, digits and _-.$/~"'@:+&, with the wildcards * and ?`,
		}},
		"many routes": {orders, "name: orders\nhttp: {routes: [/a, /b, /c, /d, /e, /f]}", []string{
			`services/orders/service.yaml:2: http.routes has 6 values; at most 5 are possible in one listener rule`,
		}},
		"no routes":   {orders, "name: orders\nhttp: {routes: []}", []string{`services/orders/service.yaml:2: http.routes is empty; it needs at least 1`}},
		"route twice": {orders, "name: orders\nhttp: {routes: [/a, /a]}", []string{`services/orders/service.yaml:2: http.routes lists "/a" twice; remove one`}},
		"claimed twice": {orders, "name: orders\nhttp: {routes: [\"/v1/products**\"]}", []string{
			`services/orders/service.yaml:2: route "/v1/products**" is claimed twice; services/catalog/service.yaml:2 has it already`,
		}},
		"route within another": {orders, "name: orders\nhttp: {routes: [\"/v1/products/special\"]}", nil},
		"true overlap": {orders, "name: orders\nhttp: {routes: [\"/v?/products-x\"]}", []string{
			`services/orders/service.yaml:2: route "/v?/products-x" overlaps "/v1/products*" of service "catalog"; change one so that no path matches both, or so that one lies within the other (services/catalog/service.yaml:2)`,
		}},
		"grpc form": {orders, "name: orders\ngrpc: {service: OrderService}", []string{
			`services/orders/service.yaml:2: grpc.service cannot be "OrderService"; it must be a full gRPC service name such as slipway.orders.v1.OrderService`,
		}},
		"grpc twice": {orders, "name: orders\ngrpc: {service: slipway.catalog.v1.CatalogService}", []string{
			`services/orders/service.yaml:2: gRPC service "slipway.catalog.v1.CatalogService" is claimed twice; services/catalog/service.yaml:3 has it already`,
		}},
		"call": {orders, "name: orders\ncalls: [catalogue, orders]", []string{
			`services/orders/service.yaml:2: there is no service "catalogue" to call; did you mean "catalog"?`,
			`services/orders/service.yaml:2: a service cannot call itself; remove "orders"`,
		}},
		"engine":   {orders, "name: orders\ndatabase: {engine: mysql}", []string{`services/orders/service.yaml:2: database.engine cannot be "mysql"; known: postgres`}},
		"strategy": {orders, "name: orders\ndeploy: {strategy: blue-green}", []string{`services/orders/service.yaml:2: deploy.strategy cannot be "blue-green"; did you mean "blue_green"?`}},
		"duration": {orders, "name: orders\ndeploy: {bake: 5 minutes}", []string{`services/orders/service.yaml:2: deploy.bake: "5 minutes" is not a duration; write it as 300ms, 30s, 5m or 1h`}},
		"bake":     {orders, "name: orders\ndeploy: {bake: 90s}", []string{`services/orders/service.yaml:2: deploy.bake cannot be 1m30s; it must be whole minutes, from 0m to 24h`}},
		"alarms": {orders, "name: orders\ndeploy: {alarms: [errors, latency]}\nslo: {availability: 99.9}", []string{
			`services/orders/service.yaml:2: deploy.alarms lists latency without slo.latency_p99; add it, such as latency_p99: 300ms`,
		}},
		"availability": {orders, "name: orders\nslo: {availability: 100}", []string{`services/orders/service.yaml:2: slo.availability cannot be 100; it must be from 50 to 99.999`}},
		"latency":      {orders, "name: orders\nslo: {latency_p99: 10m}", []string{`services/orders/service.yaml:2: slo.latency_p99 cannot be 10m0s; it must be from 1ms to 5m`}},
		"env": {orders, "name: orders\nenv: {log-level: info, RETRIES: 3, HTTP_PORT: \"1\", AWS_REGION: x}", []string{
			`services/orders/service.yaml:2: "log-level" is no name for env; it must be upper-case letters, digits and underscores, beginning with a letter`,
			`services/orders/service.yaml:2: env.RETRIES is the number 3; it must be text: "3" in quotes`,
			`services/orders/service.yaml:2: variable HTTP_PORT is reserved; the platform sets it`,
			`services/orders/service.yaml:2: variable AWS_REGION is reserved; names beginning with AWS_ are for the runtime`,
		}},
		"secrets": {orders, "name: orders\nsecrets: [orders/a-b, orders/a_b, orders/http-port, \"sp ace\"]\nenv: {A_B: x}", []string{
			`services/orders/service.yaml:2: secrets "orders/a-b" and "orders/a_b" would both arrive in A_B; rename one`,
			`services/orders/service.yaml:2: secret "orders/http-port" would arrive in HTTP_PORT, which is reserved; the platform sets it; rename the secret`,
			`services/orders/service.yaml:2: secrets[3] cannot be "sp ace"; it must be letters, digits and /_+=.@-, such as orders/webhook-key`,
			`services/orders/service.yaml:3: variable A_B is taken by secret "orders/a_b"; rename one`,
		}},
		"unknown override": {staging, stagingYAML + "services: {ordres: {scale: {min: 1}}}", []string{
			`platform/environments/staging.yaml:6: there is no service "ordres"; did you mean "orders"?`,
		}},
		"bad override": {staging, stagingYAML + "services:\n  orders:\n    size: {memory: 512}\n    scale: {max: 1}\n    env: {GRPC_PORT: \"1\"}", []string{
			`platform/environments/staging.yaml:8: Fargate does not sell 512 CPU units with 512 MiB; with cpu 512 the memory must be 1024, 2048, 3072 or 4096`,
			`platform/environments/staging.yaml:9: scale.min 2 is greater than scale.max 1; min must be at most max`,
			`platform/environments/staging.yaml:10: variable GRPC_PORT is reserved; the platform sets it`,
		}},
		"account": {staging, strings.Replace(stagingYAML, `"111111111111"`, "111111111111", 1), []string{
			`platform/environments/staging.yaml:2: account is the number 111111111111; it must be text: "111111111111" in quotes`,
		}},
		"environment": {staging, "name: prod\naccount: \"1\"\nregion: eu-central-1\nzones: [us-east-1a]\nports: {aws: 1}\nsupply_chain: {key: k.pem}", []string{
			`platform/environments/staging.yaml:1: name is "prod" in file staging.yaml; it must be "staging"`,
			`platform/environments/staging.yaml:2: account cannot be "1"; it must be twelve digits in quotes`,
			`platform/environments/staging.yaml:4: fewer than two zones; a load balancer needs two, such as [eu-central-1a, eu-central-1b]`,
			`platform/environments/staging.yaml:4: zone "us-east-1a" is not in region "eu-central-1"; such as eu-central-1a`,
			`platform/environments/staging.yaml:5: ports are those of the embedded cluster; only local has them; remove ports`,
		}},
		"callee without gRPC": {catalog, "name: catalog\nhttp: {routes: [\"/v1/products*\"]}", []string{
			`services/orders/service.yaml:6: service "catalog" has no gRPC interface to call; give it grpc in services/catalog/service.yaml`,
		}},
		"variables of the platform": {orders, "name: orders\nenv: {AUTH_ISSUER: x, CATALOG_GRPC_ADDRESS: y, INTERNAL_PORT: \"1\", OTEL_TRACES_SAMPLER_ARG: \"1\"}", []string{
			`services/orders/service.yaml:2: variable AUTH_ISSUER is reserved; it comes from the environment's auth`,
			`services/orders/service.yaml:2: variable CATALOG_GRPC_ADDRESS is reserved; names ending in _GRPC_ADDRESS come from calls`,
			`services/orders/service.yaml:2: variable INTERNAL_PORT is reserved; the platform sets it`,
			`services/orders/service.yaml:2: variable OTEL_TRACES_SAMPLER_ARG is reserved; it comes from the environment's tracing`,
		}},
		"half an issuer": {staging, stagingYAML + "auth: {issuer: \"https://login.example.com/\"}", []string{
			`platform/environments/staging.yaml:6: auth.issuer and auth.jwks_url go together; give both, or neither where no token is accepted`,
		}},
		"tokens of nobody": {staging, stagingYAML + "auth: {token_url: \"https://login.example.com/token\"}", []string{
			`platform/environments/staging.yaml:6: auth.token_url stands without auth.issuer; tokens of no issuer are accepted; add issuer and jwks_url`,
		}},
		"issuer without TLS": {staging, stagingYAML + "auth: {issuer: \"http://x\", jwks_url: \"https://x/keys\"}", []string{
			`platform/environments/staging.yaml:6: auth.issuer and auth.jwks_url go together; give both, or neither where no token is accepted`,
			`platform/environments/staging.yaml:6: auth.issuer cannot be "http://x"; it must be an https URL`,
		}},
		"ratio": {staging, stagingYAML + "tracing: {ratio: 5}", []string{
			`platform/environments/staging.yaml:6: tracing.ratio cannot be 5; it must be from 0 to 1`,
		}},
		"supply chain": {staging, strings.Replace(stagingYAML, "key: ", "keys: ", 1) + "# more", []string{
			`platform/environments/staging.yaml:5: no key to sign releases with; add supply_chain: {key: "awskms:///alias/slipway-signing"}; local alone makes its own`,
			`platform/environments/staging.yaml:5: unknown key "keys" in supply_chain; did you mean "key"?`,
		}},
		"no key": {staging, strings.Replace(stagingYAML, "supply_chain", "# supply_chain", 1), []string{
			`platform/environments/staging.yaml:1: no key to sign releases with; add supply_chain: {key: "awskms:///alias/slipway-signing"}; local alone makes its own`,
		}},
		"supply chain rules": {staging, supplied("  key: \"gcpkms://x y\"\n  dirty: refused\n  vulnerabilities:\n    fail_on: all\n    database: \"ftp://x\"\n    max_age: 1m\n"), []string{
			`platform/environments/staging.yaml:6: supply_chain.key cannot be "gcpkms://x y"; it must be a KMS key such as awskms:///alias/slipway-signing, or the path of a key file`,
			`platform/environments/staging.yaml:7: supply_chain.dirty cannot be "refused"; did you mean "refuse"?`,
			`platform/environments/staging.yaml:9: supply_chain.vulnerabilities.fail_on cannot be "all"; known: called, imported, required, never`,
			`platform/environments/staging.yaml:10: supply_chain.vulnerabilities.database cannot be "ftp://x"; it must be a URL such as https://vuln.go.dev, or a folder or zip file`,
			`platform/environments/staging.yaml:11: supply_chain.vulnerabilities.max_age cannot be 1m0s; it must be from 1h to 8760h`,
		}},
		"ignored findings": {staging, supplied("  key: k.pem\n  vulnerabilities:\n    ignore:\n      GO-1: {reason: not reached, until: 2026-12-31}\n      GO-2026-0001: {reason: no, until: 2026-13-01}\n      GO-2026-0002: {reason: not reached by us, until: 2026-02-30, services: [orders, order]}\n      CVE-2026-00001: {until: soon}\n"), []string{
			`platform/environments/staging.yaml:9: "GO-1" is no name for supply_chain.vulnerabilities.ignore; it must be an id such as GO-2026-1234 or CVE-2026-12345`,
			`platform/environments/staging.yaml:10: supply_chain.vulnerabilities.ignore.GO-2026-0001.reason cannot be "no"; it must be a sentence that says why it does no harm`,
			`platform/environments/staging.yaml:10: supply_chain.vulnerabilities.ignore.GO-2026-0001.until cannot be "2026-13-01"; there is no such day`,
			`platform/environments/staging.yaml:11: supply_chain.vulnerabilities.ignore.GO-2026-0002.until cannot be "2026-02-30"; there is no such day`,
			`platform/environments/staging.yaml:11: there is no service "order"; did you mean "orders"?`,
			`platform/environments/staging.yaml:12: key "reason" is missing in supply_chain.vulnerabilities.ignore.CVE-2026-00001; Why the finding does no harm here.`,
			`platform/environments/staging.yaml:12: supply_chain.vulnerabilities.ignore.CVE-2026-00001.until cannot be "soon"; it must be a day such as 2026-12-31`,
		}},
		"local auth": {local, "name: local\naccount: \"000000000000\"\nregion: us-east-1\nauth: {issuer: \"https://x\"}\nports: {mesh: 20500}", []string{
			`platform/environments/local.yaml:4: auth.issuer names an outside issuer; the embedded cluster has its own; remove it`,
			`platform/environments/local.yaml:5: ports.mesh cannot be 20500; 20000 to 29999 are the tasks'; choose one such as 30000, or 0 for free ones`,
		}},
		"ports": {local, "name: local\naccount: \"000000000000\"\nregion: us-east-1\nports: {gateway: 4510}", []string{
			`platform/environments/local.yaml:4: ports.gateway and ports.aws are both 4510; they must differ, or be 0 for a free port`,
		}},
		"module without manifest": {"services/stray/go.mod", "module x", []string{
			`services/stray: the folder has a Go module and no service.yaml; add services/stray/service.yaml beginning with: name: stray`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(healthy)
			files[tc.file] = tc.text
			_, err := manifest.LoadFS(tree(files))
			var got []string
			if err != nil {
				var all *manifest.Error
				if !errors.As(err, &all) || all.ExitCode() != 2 || all.Next() == "" {
					t.Fatalf("error %v; want a *manifest.Error with a next step", err)
				}
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProblemsOfAllFilesAtOnce(t *testing.T) {
	t.Parallel()
	_, err := manifest.LoadFS(tree(map[string]string{catalog: "nam: x", orders: "nam: y", staging: "nam: z"}))
	for _, file := range []string{catalog, orders, staging} {
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v; want a problem of %s in it", err, file)
		}
	}
}

func TestWrongFolder(t *testing.T) {
	t.Parallel()
	_, err := manifest.Load(t.TempDir())
	if want := "services: there is no such folder; run the command in the repository's root"; err == nil || err.Error() != want {
		t.Errorf("error %v; want %q", err, want)
	}
}

// FuzzLoad: whatever the bytes, loading ends with a value or with problems,
// each in a file of the repository.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{catalogYAML, ordersYAML, stagingYAML, "a: &a [*a]", "name: catalog\nsize: &s {cpu: *s}", "? [", "{{{{", "- - - -", "name: !!binary x", "\xff\xfe", "a: |\n  b", "services: {catalog: &x {env: {A: *x}}}"} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, service, environment []byte) {
		_, err := manifest.LoadFS(tree(map[string]string{catalog: string(service), staging: string(environment), orders: ordersYAML}))
		var all *manifest.Error
		if err != nil && !errors.As(err, &all) {
			t.Fatalf("error %v; want a *manifest.Error", err)
		}
		if all != nil {
			for _, p := range all.Problems {
				if p.File == "" || p.Message == "" || strings.Contains(p.Message, "\n") {
					t.Errorf("problem without a place or on many lines: %+v", p)
				}
			}
		}
	})
}

func TestManyProblemsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := manifest.LoadFS(tree(map[string]string{orders: "name: orders\nsecrets: [" + strings.Repeat("\" \", ", 4000) + "]"}))
	if got := strings.Count(err.Error(), "\n") + 1; got != 100 {
		t.Errorf("%d problems; want the first 100", got)
	}
	_, err = manifest.LoadFS(tree(map[string]string{orders: "name: orders\n" + strings.Repeat("# long\n", 10000)}))
	if want := "services/orders/service.yaml: the file has more than 32768 bytes; no more are read"; err == nil || err.Error() != want {
		t.Errorf("error %v; want %q", err, want)
	}
}
