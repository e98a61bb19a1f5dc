package attest

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Report is what is known of a release in a registry.
type Report struct {
	Environment string          `json:"environment"`
	Service     string          `json:"service"`
	Release     string          `json:"release"`
	Reference   string          `json:"reference"` // HOST/REPOSITORY@DIGEST
	Digest      string          `json:"digest"`
	Commit      string          `json:"commit,omitempty"`
	Dirty       bool            `json:"dirty"`
	Inputs      string          `json:"inputs,omitempty"`
	Repository  string          `json:"repository,omitempty"` // of the source
	Key         KeyReport       `json:"key"`
	Builder     string          `json:"builder,omitempty"` // as the provenance says, when it is good
	Go          string          `json:"go,omitempty"`
	Components  int             `json:"components"` // of the SBOM, when it is good
	Checks      []rollout.Check `json:"checks"`
	Login       string          `json:"login"`  // command that lets another client in
	Verify      []string        `json:"verify"` // commands with which it finds out the same
}

// KeyReport says with which key an environment's releases are signed.
type KeyReport struct {
	ID     string `json:"id"`
	Source string `json:"source"`
}

// Report reads what is known of an image, and says whether it is good.
func (s *Store) Report(ctx context.Context, q rollout.EvidenceQuery) (Report, error) {
	c, err := s.collect(ctx, q.Repository, q.Digest)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Environment: q.Environment, Service: q.Service, Release: c.release.Version,
		Reference: c.release.Reference, Digest: q.Digest,
		Commit: c.release.Commit, Dirty: c.release.Dirty, Inputs: c.release.Inputs, Repository: c.release.URL,
		Key:    KeyReport{ID: c.key.ID(), Source: c.key.Source()},
		Checks: c.checks(q),
		Login:  loginCommand(q.Environment, c.release.Reference),
		Verify: verifyCommands(c.key, c.release.Reference),
	}
	if origin, err := c.origin(); err == nil {
		r.Builder, r.Go = origin.Builder, origin.Go
	}
	if contents, err := c.bill(); err == nil {
		r.Components = contents.Modules
	}
	return r, nil
}

// loginCommand lets cosign into the registry. The embedded cluster's registry
// and its AWS endpoint have one address.
func loginCommand(environment, reference string) string {
	host, _, _ := strings.Cut(reference, "/")
	endpoint := ""
	if environment == manifest.Local {
		endpoint = "--endpoint-url http://" + host + " "
	}
	return "aws " + endpoint + "ecr get-login-password | cosign login " + host + " --username AWS --password-stdin"
}

// verifyCommands are commands with which cosign 3 finds out the same.
func verifyCommands(k *key.Key, reference string) []string {
	public := k.Source()
	if !strings.Contains(public, "://") {
		public += key.PublicSuffix
	}
	flags := " --key " + public + " --insecure-ignore-tlog "
	return []string{
		"cosign verify" + flags + reference,
		"cosign verify-attestation" + flags + "--type slsaprovenance1 " + reference,
		"cosign verify-attestation" + flags + "--type cyclonedx " + reference,
	}
}

// OK reports whether every check holds.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if !c.OK && !c.Skipped {
			return false
		}
	}
	return true
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	commit := r.Commit
	if r.Dirty {
		commit += "  with changes that are in no commit"
	}
	line("release", r.Service+" "+r.Release)
	line("digest", r.Digest)
	line("commit", commit)
	line("inputs", r.Inputs)
	line("source", r.Repository)
	line("builder", r.Builder)
	line("go", r.Go)
	line("key", r.Key.Source+"  "+r.Key.ID)
	for _, c := range r.Checks {
		said := "ok"
		switch {
		case c.Skipped:
			said = "skipped: " + c.Detail
		case !c.OK:
			said = "FAILED: " + c.Detail
		case c.Name == CheckSBOM:
			said = fmt.Sprintf("ok, %d components", r.Components)
		}
		line(c.Name, said)
	}
	_ = t.Flush() // a strings.Builder takes everything
	b.WriteString("\nwith cosign 3:\n")
	for _, command := range append([]string{r.Login}, r.Verify...) {
		b.WriteString("  " + command + "\n")
	}
	return b.String()
}
