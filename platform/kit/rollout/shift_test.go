package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

const errorsAlarm = "slipway-local-catalog-errors"

// Alarms implements rollout.Alarms: the service's, of which those that fire say why.
func (f *fakeAWS) Alarms(_ context.Context, names []string) ([]rollout.Alarm, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []rollout.Alarm
	for _, name := range names {
		if why, ok := f.alarms[name]; ok {
			list = append(list, rollout.Alarm{Name: name, Firing: why != "", Reason: why})
		}
	}
	return list, f.broken["Alarms"]
}

// canaries is a service that deploys by canary and watches its errors.
func canaries(f *fakeAWS) {
	f.service.Strategy, f.service.StepPercent, f.service.StepMinutes, f.service.BakeMinutes = "CANARY", 10, 5, 1
	f.service.Alarms, f.alarms = []string{errorsAlarm}, map[string]string{errorsAlarm: ""}
}

// shifting moves a tenth of the traffic after a second, all after three, and is
// over after four.
func shifting(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	d.Running, d.Stage, d.Weight = 2, "PRODUCTION_TRAFFIC_SHIFT", 10
	switch {
	case age >= 4*time.Second:
		f.serve(d.TaskDefinition, 2)
		d.State, d.Stage, d.Weight, d.FinishedAt = rollout.StateSuccessful, "", 0, f.clock.Now()
	case age >= 3*time.Second:
		d.Stage, d.Weight = "BAKE_TIME", 100
	case age < time.Second:
		d.Stage, d.Weight, d.Running, d.Pending = "SCALE_UP", 0, 0, 2
	}
}

// alarmed shifts until its alarm goes off after two seconds.
func alarmed(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	if age < 2*time.Second {
		shifting(f, d, age)
		return
	}
	if d.State == rollout.StateInProgress {
		f.alarms[errorsAlarm] = "Threshold Crossed: 1 datapoints [0.5] were GreaterThanThreshold 0.0144."
		f.say("(deployment ecs-svc/1) deployment failed: alarm detected: " + errorsAlarm + ".")
		f.stop(d, "Scaling activity initiated by (deployment ecs-svc/1)", new(0), "", "catalog: list products: out of cheese")
	}
	d.State, d.Weight, d.Alarms = rollout.StateRollbackInProgress, 0, []string{errorsAlarm}
	d.RollbackReason = "Service deployment rolled back because the alarm " + errorsAlarm + " was detected."
	if age >= 3*time.Second {
		d.State, d.PutBack, d.FinishedAt = rollout.StateRollbackSuccessful, d.before, f.clock.Now()
		f.service.TaskDefinition = d.before
		f.serve(d.before, 2)
	}
}

// ruleGone cannot move the traffic.
func ruleGone(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	if age < time.Second {
		shifting(f, d, age)
		return
	}
	if d.State == rollout.StateInProgress {
		f.say("was unable to modify (listener-rule arn:rule): listener rule not found.")
	}
	d.State, d.RollbackReason = rollout.StateRollbackInProgress, "Service deployment rolled back because the listener rule could not be modified."
	if age >= 2*time.Second {
		d.State, d.PutBack, d.FinishedAt = rollout.StateRollbackSuccessful, d.before, f.clock.Now()
		f.service.TaskDefinition = d.before
		f.serve(d.before, 2)
	}
}

// TestVerifyAlarms: an alarm that fires would silence all of them.
func TestVerifyAlarms(t *testing.T) {
	t.Parallel()
	firing := map[string]string{errorsAlarm: "Threshold Crossed"}
	for name, tt := range map[string]struct {
		alarms   map[string]string
		broken   error
		options  rollout.Options
		rollback bool
		says     string
		next     string
	}{
		"quiet":           {alarms: map[string]string{errorsAlarm: ""}},
		"firing":          {alarms: firing, says: "ECS would ignore every alarm of the rollout (--force rolls out all the same): Threshold Crossed", next: "go tool mage logs local catalog"},
		"firing, forced":  {alarms: firing, options: rollout.Options{Force: true}},
		"firing, go back": {alarms: firing, rollback: true},
		"missing":         {alarms: map[string]string{}, says: "it does not exist", next: "go tool mage up"},
		"unreadable":      {broken: errors.New("connection refused"), says: "alarms: connection refused", next: "go tool mage up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.ran(t, 2)
			canaries(f)
			f.alarms, f.broken["Alarms"] = tt.alarms, tt.broken
			d := f.deployer(t)
			plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(3)), tt.options)
			if tt.rollback {
				plan, err = d.PlanRollback(t.Context(), "catalog", "", tt.options)
			}
			if err != nil {
				t.Fatal(err)
			}
			checks, err := d.Verify(t.Context(), plan)
			if tt.says == "" {
				skipped := slices.ContainsFunc(checks, func(c rollout.Check) bool { return c.Name == "alarm "+errorsAlarm && c.Skipped })
				if err != nil || skipped != (tt.alarms[errorsAlarm] != "") {
					t.Errorf("%v, checks %+v", err, checks)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || event.Next(err) != tt.next {
				t.Errorf("error %v, next %q; want %q, %q", err, event.Next(err), tt.says, tt.next)
			}
		})
	}
}

// TestStatusShowsTheShift of a deployment that is under way.
func TestStatusShowsTheShift(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	canaries(f)
	dep := f.begin(f.service.TaskDefinition, nil)
	dep.Stage, dep.Weight = "PRODUCTION_TRAFFIC_SHIFT", 10
	status, err := f.deployer(t).Status(t.Context(), []string{"catalog"})
	if err != nil {
		t.Fatal(err)
	}
	if text := status.String(); !strings.Contains(text, "catalog: v1: production traffic shift, 10 % of the traffic\n") {
		t.Errorf("status:\n%s", text)
	}
}

// TestIgnoredAlarmsAreTold: a rollout that no alarm watches says so.
func TestIgnoredAlarmsAreTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	canaries(f)
	f.next = func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		d.Ignored = []string{errorsAlarm}
		shifting(f, d, age)
	}
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var events event.Recorder
	if _, err := d.Apply(t.Context(), plan, &events); err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range events.Events() {
		if n, ok := e.Data.(event.Notice); ok && strings.Contains(n.Message, errorsAlarm+" was firing when it began") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
