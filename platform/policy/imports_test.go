package policy

import (
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

const (
	kit   = prefix + "/platform/kit"
	serve = prefix + "/platform/serve"
	proto = prefix + "/proto"

	awsSDK = "github.com/aws/aws-sdk-go-v2"
	mage   = "github.com/magefile/mage"
)

func TestImports(t *testing.T) {
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	others, err := check.Others(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	graph := check.NewGraph(tree(t), others)
	services := manifests(t)
	rules := slices.Concat(platformRules(), kitRules())
	for _, s := range services {
		rules = append(rules, serviceRules(graph, s)...)
		rules = append(rules, callRule(s, services)...)
	}
	report(t, check.Imports(graph, rules))
}

// platformRules keep the modules apart.
func platformRules() []check.ImportRule {
	return []check.ImportRule{
		{
			Name:   "proto stands alone",
			From:   []string{proto + "/..."},
			Deny:   []string{prefix + "/..."},
			But:    []string{proto + "/..."},
			Tests:  true,
			Reason: "contracts are read by every service and by users' clients, which must not build the platform",
		},
		{
			Name:   "serve knows no service and no tool",
			From:   []string{serve + "/..."},
			Deny:   []string{prefix + "/...", mage + "/...", awsSDK + "/..."},
			But:    []string{serve + "/...", proto + "/slipway/auth/..."}, // options of methods, which serve enforces
			Tests:  true,
			Reason: "every service is built on serve: what it imports, all of them ship",
		},
		{
			Name:   "errs is plain Go",
			From:   []string{serve + "/errs/..."},
			Deny:   []string{"*"},
			But:    []string{"std", serve + "/errs/..."},
			Reason: "domain packages import it, and they must stay free of gRPC, SQL and everything else",
		},
		{
			Name:   "policy reads, it does not link",
			From:   []string{prefix + "/platform/policy/..."},
			Deny:   []string{prefix + "/..."},
			But:    []string{prefix + "/platform/policy/..."},
			Tests:  true,
			Reason: "the rules have to run when the code they judge does not compile",
		},
		{
			Name:   "targets alone know mage",
			From:   []string{prefix + "/...", "magefile.go"},
			Except: []string{kit + "/targets", kit + "/cmd/mage"},
			Deny:   []string{mage + "/..."},
			Direct: true,
			Tests:  true,
			Reason: "logic that needs a mage context cannot be called from a test, a pipeline or another program",
		},
		{
			Name:   "no mage/sh",
			From:   []string{prefix + "/...", "magefile.go"},
			Deny:   []string{mage + "/sh"},
			Direct: true,
			Tests:  true,
			Reason: "it expands $ inside arguments and runs children on a context that Ctrl-C does not reach",
		},
		{
			Name:   "the magefile imports the targets",
			From:   []string{"magefile.go"},
			Deny:   []string{"*"},
			But:    []string{kit + "/targets"},
			Direct: true,
			Reason: "what is in the magefile is compiled at each call and tested by nobody",
		},
	}
}

// kitRules keep the parts of the deploy kit apart.
func kitRules() []check.ImportRule {
	return []check.ImportRule{
		{
			Name:   "the kit knows services by their manifests",
			From:   []string{kit + "/..."},
			Deny:   []string{prefix + "/..."},
			But:    []string{kit + "/..."},
			Reason: "a service is added by adding its folder; code in the kit that names one breaks that",
		},
		{
			Name:   "the AWS SDK stays behind the adapter",
			From:   []string{kit + "/..."},
			Except: []string{kit + "/internal/aws...", kit + "/localcluster/..."},
			Deny:   []string{awsSDK + "/...", "github.com/aws/smithy-go/..."},
			Direct: true,
			Tests:  true,
			Reason: "the rest of the kit is tested without an endpoint; the embedded cluster uses the SDK's types as its wire shapes",
		},
		{
			Name:   "the embedded cluster takes types, not clients",
			From:   []string{kit + "/localcluster/..."},
			Deny:   []string{awsSDK + "/config", awsSDK + "/feature/..."},
			Direct: true,
			Reason: "a server that could find the user's own credentials might reach AWS with them",
		},
		{
			Name: "the embedded cluster makes no credentials",
			From: []string{kit + "/localcluster/..."},
			// The provisioner stands where Terraform stands in AWS: it is a client
			// of the cluster, at an endpoint that it is given.
			Except: []string{kit + "/localcluster/provision"},
			Deny:   []string{awsSDK + "/credentials/..."},
			Direct: true,
			Reason: "it is the server; requests are signed by those who send them",
		},
		{
			Name:   "rollout does not draw",
			From:   []string{kit + "/rollout/..."},
			Deny:   []string{kit + "/render/...", kit + "/targets/...", kit + "/localcluster/..."},
			Reason: "rollout and render meet only in event, so that every renderer shows every rollout; and one path serves every endpoint",
		},
		{
			Name:   "render does not act",
			From:   []string{kit + "/render/..."},
			Deny:   []string{kit + "/..."},
			But:    []string{kit + "/render/...", kit + "/event/..."},
			Reason: "rollout and render meet only in event, so that output is tested from recorded events",
		},
		{
			Name:   "event is the floor",
			From:   []string{kit + "/event/..."},
			Deny:   []string{prefix + "/...", mage + "/...", awsSDK + "/..."},
			But:    []string{kit + "/event/..."},
			Reason: "everything that reports progress imports it, and whoever reads a recording should need nothing else",
		},
		{
			Name:   "nothing is built on targets",
			From:   []string{kit + "/..."},
			Deny:   []string{kit + "/targets/..."},
			Reason: "targets parse words and call packages; a package that calls a target turns that round",
		},
	}
}
