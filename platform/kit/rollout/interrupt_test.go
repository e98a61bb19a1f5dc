package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// cancelling ends the caller's context during its at-th call.
type cancelling struct {
	*fakeAWS
	at, n  int
	cancel func()
}

func (c *cancelling) count() {
	if c.n++; c.n == c.at {
		c.cancel()
	}
}

func (c *cancelling) Service(ctx context.Context, a, b string) (rollout.Service, error) {
	defer c.count()
	return c.fakeAWS.Service(ctx, a, b)
}

func (c *cancelling) Register(ctx context.Context, d json.RawMessage) (rollout.TaskDefinition, error) {
	defer c.count()
	return c.fakeAWS.Register(ctx, d)
}

func (c *cancelling) Run(ctx context.Context, r rollout.Run) (rollout.Task, error) {
	defer c.count()
	return c.fakeAWS.Run(ctx, r)
}

func (c *cancelling) Task(ctx context.Context, cluster, arn string) (rollout.Task, error) {
	defer c.count()
	return c.fakeAWS.Task(ctx, cluster, arn)
}

func (c *cancelling) Update(ctx context.Context, u rollout.Update) (rollout.Service, error) {
	defer c.count()
	return c.fakeAWS.Update(ctx, u)
}

func TestInterruptedTexts(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, at := range []int{1, 2, 4, 12} {
		f := newFake(t)
		f.ran(t, 1)
		migrates(0)(f)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		plan, err := f.deployer(t).Plan(ctx, "catalog", rollout.Release(release(2)), rollout.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: &cancelling{fakeAWS: f, at: at, cancel: cancel}, Images: f, Secrets: f, Contracts: f, Logs: f, Clock: f.clock})
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.Apply(ctx, plan, nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", v)
	}
	golden(t, "outcome/interrupted", b.String())
}
