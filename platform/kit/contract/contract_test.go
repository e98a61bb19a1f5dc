package contract_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/contract"
)

const template = `{"family":"slipway-local-catalog","cpu":"256","volumes":[{"name":"tmp"}],"tags":[{"key":"owner","value":"shop"},{"key":"slipway:release","value":"old"}],
  "containerDefinitions":[
    {"name":"catalog","image":"slipway:image","stopTimeout":30,"environment":[{"name":"LOG_LEVEL","value":"info"},{"name":"SERVICE_VERSION","value":"old"}],"dockerLabels":{"team":"shop"}},
    {"name":"collector","image":"collector@sha256:aa"}]}`

func sample() contract.Contract {
	return contract.Contract{
		Version: contract.Version, Environment: "local", Service: "catalog", Cluster: "slipway-local", ECSService: "catalog",
		Family: "slipway-local-catalog", Repository: "slipway/catalog", Container: "catalog", LogGroup: "/slipway/local/catalog",
		URL: "http://127.0.0.1:8080", DesiredCount: 1, Migration: &contract.Migration{Command: []string{"migrate"}},
		TargetGroups:   []contract.TargetGroup{{ARN: "arn:tg", ContainerName: "catalog", ContainerPort: 8080}},
		TaskDefinition: json.RawMessage(template),
	}
}

const image = "127.0.0.1:4510/slipway/catalog@sha256:0123"

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	data, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(data) {
		t.Errorf("encoded again it is\n%s\nand was\n%s (%v)", again, data, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	valid, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string { return strings.Replace(string(valid), old, new, 1) }
	cases := map[string]struct{ in, want string }{
		"not JSON":         {"nonsense", "invalid character"},
		"no version":       {`{"service":"catalog"}`, "it has no version"},
		"newer":            {replace(`"version":1`, `"version":2`), "newer than this kit"},
		"older":            {replace(`"version":1`, `"version":0`), "older than this kit"},
		"unknown member":   {replace(`"cluster"`, `"clusters"`), `unknown field "clusters"`},
		"trailing":         {string(valid) + "{}", "invalid character"},
		"missing family":   {replace(`"family":"slipway-local-catalog",`, ``), "family is missing"},
		"other family":     {replace(`"family":"slipway-local-catalog"`, `"family":"x"`), `of family "slipway-local-catalog", the contract of "x"`},
		"no placeholder":   {replace("slipway:image", "nginx:latest"), `has image "nginx:latest"`},
		"no container":     {replace(`"container":"catalog"`, `"container":"web"`), `no container "web" (it has: catalog, collector)`},
		"negative count":   {replace(`"desired_count":1`, `"desired_count":-1`), "cannot be negative"},
		"empty migration":  {replace(`["migrate"]`, `[]`), "migration has no command"},
		"empty definition": {replace(`"log_group":"/slipway/local/catalog"`, `"log_group":""`), "log_group is missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.Decode([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v; want %q in it", err, tc.want)
			}
		})
	}
	var version *contract.VersionError
	if _, err := contract.Decode([]byte(`{"version":9}`)); !errors.As(err, &version) || version.Next() == "" {
		t.Errorf("error %v; want a *VersionError with a next step", err)
	}
}

func TestEncodeRefusesWhatSSMCannotHold(t *testing.T) {
	t.Parallel()
	c := sample()
	c.URL = strings.Repeat("x", contract.MaxBytes)
	if _, err := c.Encode(); err == nil || !strings.Contains(err.Error(), "holds 8192") {
		t.Errorf("error %v; want the size limit", err)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	got, err := sample().Render(contract.Release{Version: "v2", Image: image, Env: map[string]string{"EXTRA": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := contract.FingerprintOf(got)
	want := `{"family":"slipway-local-catalog","cpu":"256","volumes":[{"name":"tmp"}],
	 "tags":[{"key":"owner","value":"shop"},{"key":"slipway:digest","value":"sha256:0123"},{"key":"slipway:environment","value":"local"},
	  {"key":"slipway:fingerprint","value":"` + fingerprint + `"},{"key":"slipway:release","value":"v2"},{"key":"slipway:service","value":"catalog"}],
	 "containerDefinitions":[
	  {"name":"catalog","image":"` + image + `","stopTimeout":30,"dockerLabels":{"team":"shop","slipway.release":"v2"},
	   "environment":[{"name":"LOG_LEVEL","value":"info"},{"name":"EXTRA","value":"1"},{"name":"SERVICE_VERSION","value":"v2"}]},
	  {"name":"collector","image":"collector@sha256:aa"}]}`
	var a, b any
	if json.Unmarshal([]byte(want), &a) != nil || json.Unmarshal(got, &b) != nil {
		t.Fatal("not JSON")
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("rendered definition differs (-want +got):\n%s", diff)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		release contract.Release
		want    string
	}{
		"tag":      {contract.Release{Version: "v2", Image: "slipway/catalog:latest"}, "not given by digest"},
		"version":  {contract.Release{Image: image}, "without a release version"},
		"variable": {contract.Release{Version: "v2", Image: image, Env: map[string]string{"LOG_LEVEL": "debug"}}, "LOG_LEVEL is set by the contract's template already"},
	}
	for name, tc := range cases {
		if _, err := sample().Render(tc.release); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v; want %q in it", name, err, tc.want)
		}
	}
}

// TestFingerprint: equal inputs have equal fingerprints, whatever the order
// of members; any change of the template or the release has another one.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringMatching(`[a-z]{0,8}`)
		level, version := value.Draw(rt, "level"), value.Draw(rt, "version")+"v"
		otherLevel, otherVersion := value.Draw(rt, "other level"), value.Draw(rt, "other version")+"v"
		render := func(level, version string, turned bool) string {
			c := sample()
			env := `{"name":"LOG_LEVEL","value":"` + level + `"}`
			if turned {
				env = `{"value":"` + level + `","name":"LOG_LEVEL"}`
			}
			c.TaskDefinition = json.RawMessage(strings.Replace(template, `{"name":"LOG_LEVEL","value":"info"}`, env, 1))
			got, err := c.Render(contract.Release{Version: version, Image: image})
			if err != nil {
				rt.Fatal(err)
			}
			return contract.FingerprintOf(got)
		}
		same := level == otherLevel && version == otherVersion
		if got := render(level, version, false) == render(otherLevel, otherVersion, true); got != same {
			rt.Fatalf("(%s %s) and (%s %s): same fingerprint %t", level, version, otherLevel, otherVersion, got)
		}
	})
}
