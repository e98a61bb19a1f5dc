package awsx_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/trail"
)

// put plans and applies a release.
func (c *cluster) put(digit string, opts rollout.Options) rollout.Verdict {
	c.t.Helper()
	plan := must(c.deploy.Plan(c.t.Context(), "catalog", release(digit), opts))(c.t)
	return must(c.deploy.Apply(c.t.Context(), plan, nil))(c.t)
}

func want(t *testing.T, v rollout.Verdict, outcome event.Outcome, texts ...string) {
	t.Helper()
	if v.Outcome != outcome {
		t.Errorf("outcome %s; want %s\n%s", v.Outcome, outcome, v)
	}
	for _, text := range texts {
		if !strings.Contains(v.String(), text) {
			t.Errorf("no %q in the verdict:\n%s", text, v)
		}
	}
}

func TestCompletedAndAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	want(t, c.put("1", rollout.Options{}), event.Completed, "serving: v1 (slipway-local-catalog:2, 2 tasks)")
	want(t, c.put("1", rollout.Options{}), event.Completed, "already runs release v1", "nothing was changed")
	want(t, c.put("2", rollout.Options{}), event.Completed, "serving: v2 (slipway-local-catalog:3, 2 tasks)")
	want(t, c.put("2", rollout.Options{Force: true}), event.Completed, "release v2 of catalog is rolled out")
}

func TestFailedAtFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.act("9", fake.Crash)
	want(t, c.put("9", rollout.Options{}), event.Failed, "tasks stopped: Essential container in task exited",
		"container catalog exited with code 1", "release 9 cannot start", "next: go tool mage logs local catalog")
}

func TestRolledBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	want(t, c.put("1", rollout.Options{}), event.Completed)
	c.act("8", fake.NoImage)
	want(t, c.put("8", rollout.Options{}), event.RolledBack, "CannotPullContainerError: image not found", "circuit breaker", "serving: v1")
	c.act("9", fake.Crash)
	want(t, c.put("9", rollout.Options{}), event.RolledBack, "exited with code 1", "| release 9 cannot start", "serving: v1")
	want(t, c.put("2", rollout.Options{}), event.Completed, "serving: v2")
}

func TestSuperseded(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	want(t, c.put("1", rollout.Options{}), event.Completed)
	c.act("3", fake.Wait)
	plan := must(c.deploy.Plan(t.Context(), "catalog", release("3"), rollout.Options{}))(t)
	begun := make(chan struct{})
	verdicts := make(chan rollout.Verdict, 1)
	go func() {
		started := false
		v, err := c.deploy.Apply(t.Context(), plan, event.SinkFunc(func(e event.Event) {
			if _, ok := e.Data.(event.DeploymentChanged); ok && !started {
				started = true
				close(begun)
			}
		}))
		if err != nil {
			t.Error(err)
		}
		verdicts <- v
	}()
	<-begun
	want(t, c.put("2", rollout.Options{}), event.Completed, "serving: v2")
	want(t, <-verdicts, event.Superseded, "overtaken by one of release v2")
}

func TestTimedOutThenWatchedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	want(t, c.put("1", rollout.Options{}), event.Completed)
	c.act("3", fake.Wait)
	want(t, c.put("3", rollout.Options{Timeout: 200 * time.Millisecond}), event.TimedOut, "serving: v1", "watch it again")
	plan := must(c.deploy.Plan(t.Context(), "catalog", release("3"), rollout.Options{}))(t)
	if plan.Action != rollout.ActResume {
		t.Fatalf("plan says %s; want to resume", plan.Action)
	}
	for _, arn := range c.runtime.Alive() {
		c.runtime.Up(arn)
	}
	done := make(chan struct{})
	defer close(done)
	go func() { // later tasks come up as well
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				for _, arn := range c.runtime.Alive() {
					c.runtime.Up(arn)
				}
			}
		}
	}()
	want(t, must(c.deploy.Apply(t.Context(), plan, nil))(t), event.Completed, "serving: v3")
}

func TestMigration(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	doc := must(c.client.Contract(t.Context(), "local", "catalog"))(t)
	doc.Migration = &contract.Migration{Command: []string{"migrate"}}
	c.publish(doc)
	want(t, c.put("1", rollout.Options{}), event.Completed)
	c.act("migrate", fake.Crash)
	want(t, c.put("2", rollout.Options{}), event.Failed, "the migration of release v2 failed", "exited with code 1", "serving: v1")
	c.act("migrate", fake.Finish)
	want(t, c.put("2", rollout.Options{}), event.Completed, "serving: v2 (slipway-local-catalog:3, 2 tasks)")
}

func TestRollback(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	want(t, c.put("1", rollout.Options{}), event.Completed)
	c.act("9", fake.Crash)
	want(t, c.put("9", rollout.Options{}), event.RolledBack)
	want(t, c.put("2", rollout.Options{}), event.Completed)
	plan := must(c.deploy.PlanRollback(t.Context(), "catalog", "", rollout.Options{}))(t)
	want(t, must(c.deploy.Apply(t.Context(), plan, nil))(t), event.Completed, "was rolled back to release v1", "serving: v1 (slipway-local-catalog:2, 2 tasks)")
	status := must(c.deploy.Status(t.Context(), []string{"catalog"}))(t).Services[0]
	if status.Problem != "" || status.Release != "v1" || status.Running != 2 || status.Healthy != 2 || status.Last == nil || status.Last.Outcome != "completed" {
		t.Errorf("status %+v", status)
	}
}

// trail reads what the cluster keeps.
func (c *cluster) trail() *trail.Reader {
	return must(trail.New(trail.Config{Environment: "local", Local: true, ECS: c.client, Contracts: c.client, Logs: c.client}))(c.t)
}

// TestHistory: what ECS keeps tells the same as the verdicts did.
func TestHistory(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.act("9", fake.Crash)
	verdicts := []rollout.Verdict{c.put("1", rollout.Options{}), c.put("9", rollout.Options{})}
	h := must(c.trail().History(t.Context(), "catalog", 0))(t)
	for i, v := range verdicts {
		e := h.Rollouts[len(h.Rollouts)-2-i] // the oldest one is the shell's own
		if e.Deployment != v.Deployment || e.Outcome != string(v.Outcome) || e.Why != v.Why || e.PutBack != v.PutBack || e.Release != v.Release {
			t.Errorf("history %+v, verdict %s", e, v)
		}
		if e.Strategy != "ROLLING" || e.Ended.Before(e.Began) || e.Duration < 0 {
			t.Errorf("history %+v", e)
		}
	}
	if v := verdicts[1]; v.Outcome != event.RolledBack || v.PutBack != "v1" || v.Why == "" {
		t.Errorf("verdict %s", v)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.act("9", fake.Crash)
	c.put("9", rollout.Options{})
	var got event.Recorder
	if err := c.trail().Logs(t.Context(), "catalog", trail.LogsOptions{Filter: "cannot"}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Events()) < 3 || got.Events()[0].Data.(event.LogLine).Message != "release 9 cannot start" {
		t.Errorf("events %v; want a line of each task", got.Events())
	}
}

func TestVerifyOverTheWire(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	doc := must(c.client.Contract(t.Context(), "local", "catalog"))(t)
	doc.TaskDefinition = []byte(strings.Replace(string(doc.TaskDefinition), "catalog/database", "catalog/nothing", 1))
	c.publish(doc)
	plan := must(c.deploy.Plan(t.Context(), "catalog", release("0"), rollout.Options{}))(t)
	_, err := c.deploy.Apply(t.Context(), plan, nil)
	var failed *rollout.VerifyError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 {
		t.Errorf("error %v; want the image and the secret", err)
	}
	if err := c.client.Check(t.Context(), "/slipway/local/services/catalog/contract"); err != nil {
		t.Errorf("a parameter that is there: %v", err)
	}
	if err := c.client.Check(t.Context(), "arn:aws:ssm:us-east-1:000000000000:parameter/slipway/nothing"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("a parameter that is not there: %v", err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, contractErr := c.client.Contract(t.Context(), "local", "nothing")
	_, serviceErr := c.client.Service(t.Context(), "slipway-local", "nothing")
	_, clusterErr := c.client.Service(t.Context(), "nothing", "nothing")
	_, definitionErr := c.client.TaskDefinition(t.Context(), "nothing")
	_, deploymentErr := c.client.Deployment(t.Context(), "arn:aws:ecs:us-east-1:000000000000:service-deployment/slipway-local/catalog/abcdefghijklmnopqrstu")
	_, taskErr := c.client.Task(t.Context(), "slipway-local", strings.Repeat("0", 32))
	for what, err := range map[string]error{
		"contract": contractErr, "service": serviceErr, "cluster": clusterErr,
		"definition": definitionErr, "deployment": deploymentErr, "task": taskErr,
	} {
		if !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("%s: error %v; want not found", what, err)
		}
	}
}

func TestClusterThatIsDown(t *testing.T) {
	t.Parallel()
	client := must(awsx.New(context.Background(), awsx.Config{Region: region, Endpoint: "http://127.0.0.1:1", Local: true}))(t)
	_, err := client.Contract(t.Context(), "local", "catalog")
	if err == nil || event.Next(err) != "go tool mage up" || !strings.Contains(err.Error(), "does not answer on http://127.0.0.1:1") {
		t.Errorf("error %v, next %q", err, event.Next(err))
	}
}
