//go:build terraform

package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TestManifestsAgree compares what Terraform reads out of the manifests with
// what the deploy kit reads, for every service in every environment of AWS.
func TestManifestsAgree(t *testing.T) {
	t.Parallel()
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	work, err := manifest.Load(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range work.EnvironmentNames() {
		if name == manifest.Local {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, err := work.Environment(name)
			if err != nil {
				t.Fatal(err)
			}
			want := reading{Environment: environmentOf(env), Services: map[string]service{}}
			for _, service := range work.ServiceNames() {
				s, err := env.Service(service)
				if err != nil {
					t.Fatal(err)
				}
				want.Services[service] = serviceOf(s)
			}
			if diff := cmp.Diff(want, terraformReads(t, checkout, name)); diff != "" {
				t.Errorf("the kit and Terraform read the manifests of %s differently (-kit +terraform):\n%s", name, diff)
			}
		})
	}
}

// reading is what either side reads.
type reading struct {
	Environment place              `json:"environment"`
	Services    map[string]service `json:"services"`
}

type place struct {
	Name, Account, Region, Domain string
	Zones, Platforms              []string
	Tracing                       struct{ Ratio float64 }
	Auth                          struct {
		Issuer   string
		Audience string
		JWKSURL  string `json:"jwks_url"`
		TokenURL string `json:"token_url"`
	}
}

type service struct {
	Name, Team, GRPC, Database string
	Routes, Calls, Secrets     []string
	Env                        map[string]string
	Size                       struct {
		CPU, Memory int
		Arch        string
	}
	Scale struct {
		Min, Max, CPU   int
		RequestsPerTask int `json:"requests_per_task"`
	}
	Deploy struct {
		Strategy    string
		Alarms      []string
		BakeMinutes int `json:"bake_minutes"`
	}
	SLO struct {
		Availability float64
		LatencyP99MS float64 `json:"latency_p99_ms"`
	}
}

func environmentOf(e manifest.Environment) place {
	out := place{Name: e.Name, Account: e.Account, Region: e.Region, Domain: e.Domain, Zones: e.Zones, Platforms: e.Platforms}
	out.Tracing.Ratio = e.Tracing.Ratio
	out.Auth.Issuer, out.Auth.Audience, out.Auth.JWKSURL, out.Auth.TokenURL = e.Auth.Issuer, e.Auth.Audience, e.Auth.JWKSURL, e.Auth.TokenURL
	return out
}

func serviceOf(s manifest.Service) service {
	out := service{
		Name: s.Name, Team: s.Team, Routes: []string{}, Calls: append([]string{}, s.Calls...), Secrets: append([]string{}, s.Secrets...),
		Env: map[string]string{},
	}
	maps.Copy(out.Env, s.Env)
	if s.HTTP != nil {
		out.Routes = s.HTTP.Routes
	}
	if s.GRPC != nil {
		out.GRPC = s.GRPC.Service
	}
	if s.Database != nil {
		out.Database = string(s.Database.Engine)
	}
	out.Size.CPU, out.Size.Memory, out.Size.Arch = s.Size.CPU, s.Size.Memory, string(s.Size.Arch)
	out.Scale.Min, out.Scale.Max, out.Scale.CPU, out.Scale.RequestsPerTask = s.Scale.Min, s.Scale.Max, s.Scale.CPU, s.Scale.RequestsPerTask
	out.Deploy.Strategy, out.Deploy.Alarms = string(s.Deploy.Strategy), []string{}
	for _, alarm := range s.Deploy.Alarms {
		out.Deploy.Alarms = append(out.Deploy.Alarms, string(alarm))
	}
	out.Deploy.BakeMinutes = int(time.Duration(s.Deploy.Bake) / time.Minute)
	if s.SLO != nil {
		out.SLO.Availability = s.SLO.Availability
		out.SLO.LatencyP99MS = float64(time.Duration(s.SLO.LatencyP99)) / float64(time.Millisecond)
	}
	return out
}

// terraformReads plans a root that only outputs what the module reads.
func terraformReads(t *testing.T, checkout, environment string) reading {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("module \"manifests\" {\n  source      = %q\n  repository  = %q\n  environment = %q\n}\n\noutput \"read\" {\n  value = module.manifests\n}\n",
		filepath.Join(checkout, "platform/terraform/modules/manifests"), checkout, environment)
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tf := initialised(t, dir)
	plan := filepath.Join(dir, "plan")
	if _, err := tf.Plan(t.Context(), tfexec.Out(plan)); err != nil {
		t.Fatal(err)
	}
	shown, err := tf.ShowPlanFile(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(shown.PlannedValues.Outputs["read"].Value)
	if err != nil {
		t.Fatal(err)
	}
	var out reading
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
