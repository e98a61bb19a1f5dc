//go:build terraform

package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TestContract plans the shell of every service with the real provider, as each
// environment of AWS has it, and hands the contract to the deploy kit.
func TestContract(t *testing.T) {
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
			contracts := plannedContracts(t, checkout, name)
			for _, service := range work.ServiceNames() {
				s, err := work.Service(service)
				if err != nil {
					t.Fatal(err)
				}
				accept(t, contracts[service], name, s)
			}
		})
	}
}

// accept reads a contract as the kit does and renders a release with it.
func accept(t *testing.T, text json.RawMessage, environment string, s manifest.Service) {
	t.Helper()
	// What AWS names is not known in a plan.
	known := strings.ReplaceAll(string(text), `"target_groups":[{`, `"target_groups":[{"arn":"arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/planned/1",`)
	known = strings.ReplaceAll(known, `},{"container_name"`, `},{"arn":"arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/planned/2","container_name"`)
	c, err := contract.Decode([]byte(known))
	if err != nil {
		t.Errorf("%s: %v\n%s", s.Name, err, known)
		return
	}
	if c.Environment != environment || c.Service != s.Name || c.Repository != "slipway/"+s.Name || len(c.TargetGroups) == 0 {
		t.Errorf("%s: the contract is of %s in %s, with %d target groups", s.Name, c.Service, c.Environment, len(c.TargetGroups))
	}
	if encoded, err := c.Encode(); err != nil {
		t.Errorf("%s: %v", s.Name, err)
	} else if len(encoded) > contract.MaxBytes*3/4 {
		t.Errorf("%s: the contract has %d bytes, little below the %d that a parameter holds", s.Name, len(encoded), contract.MaxBytes)
	}
	image := "111111111111.dkr.ecr.eu-central-1.amazonaws.com/slipway/" + s.Name + "@sha256:" + strings.Repeat("1", 64)
	definition, err := c.Render(contract.Release{Version: "v0-test", Image: image})
	if err != nil {
		t.Errorf("%s: %v", s.Name, err)
		return
	}
	for _, callee := range s.Calls {
		if !strings.Contains(string(definition), manifest.AddressVariable(callee)) {
			t.Errorf("%s: its tasks do not know the address of %s", s.Name, callee)
		}
	}
	for _, secret := range s.Secrets {
		if !strings.Contains(string(definition), manifest.SecretVariable(s.Name, secret)) {
			t.Errorf("%s: its tasks do not get secret %s", s.Name, secret)
		}
	}
}

// plannedContracts plans all shells of an environment without an AWS account:
// nothing of them asks AWS while planning.
func plannedContracts(t *testing.T, checkout, environment string) map[string]json.RawMessage {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`provider "aws" {
  region                      = "eu-central-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

module "manifests" {
  source      = %[1]q
  repository  = %[2]q
  environment = %[3]q
}

module "service" {
  source   = %[4]q
  for_each = module.manifests.services

  environment = module.manifests.environment
  service     = each.value
  cluster     = { name = "slipway-%[3]s", namespace_arn = "arn:aws:servicediscovery:eu-central-1:111111111111:namespace/ns-1" }
  network     = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], security_group_id = "sg-1" }
  edge        = { listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:111111111111:listener/app/slipway/1/1", load_balancer_arn_suffix = "app/slipway/1", url = "https://example.com" }
  kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/11111111-1111-1111-1111-111111111111"
  collector   = "sha256:%[5]s"
}

output "contracts" {
  value = { for name, service in module.service : name => service.contract }
}
`, filepath.Join(checkout, "platform/terraform/modules/manifests"), checkout, environment,
		filepath.Join(checkout, "platform/terraform/modules/service"), strings.Repeat("2", 64))
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
	resources := 0
	for _, change := range shown.ResourceChanges {
		if change.Change.Actions.Create() {
			resources++
		}
		if slices.Contains([]string{"aws_nat_gateway", "aws_eip", "aws_iam_user"}, change.Type) {
			t.Errorf("the plan makes %s", change.Address)
		}
	}
	t.Logf("%s: the shells of all services are %d resources", environment, resources)
	data, err := json.Marshal(shown.OutputChanges["contracts"].After)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
