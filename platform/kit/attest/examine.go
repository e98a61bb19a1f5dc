package attest

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// The names of the checks.
const (
	CheckSignature  = "signature"
	CheckProvenance = "provenance"
	CheckSBOM       = "sbom"
)

// Examiner checks that an image is one that the environment's key vouches for.
type Examiner struct{ Store *Store }

var _ rollout.Evidence = Examiner{}

// Examine returns the checks signature, provenance and sbom. They hold for a
// rollback too: an image that served before is not the one that serves again
// when somebody has put another in its place.
func (e Examiner) Examine(ctx context.Context, q rollout.EvidenceQuery) []rollout.Check {
	c, err := e.Store.collect(ctx, q.Repository, q.Digest)
	if err != nil {
		next := "go tool mage doctor"
		if hint, ok := errors.AsType[interface {
			error
			Next() string
		}](err); ok {
			next = hint.Next()
		}
		return []rollout.Check{{Name: CheckSignature, Detail: err.Error(), Next: next}}
	}
	return c.checks(q)
}

// checks judges what was collected.
func (c *collected) checks(q rollout.EvidenceQuery) []rollout.Check {
	mend := SignCommand(q.Environment, q.Service, q.Release)
	if c.release.Service != q.Service {
		return []rollout.Check{{
			Name: CheckSignature, Next: "go tool mage deploy " + q.Environment + " " + q.Service,
			Detail: "the image says that it is of service " + quoted(c.release.Service),
		}}
	}
	if len(c.found) == 0 {
		return []rollout.Check{{
			Name: CheckSignature, Next: mend,
			Detail: "nobody has signed this image; it was pushed before releases were signed, or not by deploy",
		}}
	}
	signature := c.has(statement.Signature, func(json.RawMessage) error { return nil })
	_, origin := c.origin()
	_, contents := c.bill()
	return []rollout.Check{
		checkOf(CheckSignature, signature, mend),
		checkOf(CheckProvenance, origin, mend),
		checkOf(CheckSBOM, contents, mend),
	}
}

func quoted(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

func checkOf(name string, err error, mend string) rollout.Check {
	if err == nil {
		return rollout.Check{Name: name, OK: true}
	}
	return rollout.Check{Name: name, Detail: err.Error(), Next: mend}
}

// SignCommand is the command that signs a release that is there already. Who
// types it says that the image is good; nothing does so by itself.
func SignCommand(environment, service, version string) string {
	command := "go tool mage sign " + environment + " " + service
	if version != "" {
		command += " --release=" + version
	}
	return command
}
