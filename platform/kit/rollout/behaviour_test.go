package rollout_test

import (
	"time"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// good starts its tasks within a second and is over after two.
func good(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	switch {
	case age >= 2*time.Second:
		f.serve(d.TaskDefinition, 2)
		d.State, d.Running, d.Pending, d.FinishedAt = rollout.StateSuccessful, 2, 0, f.clock.Now()
		f.say("has reached a steady state.")
	case age >= time.Second:
		d.Running, d.Pending = 1, 1
	default:
		d.Pending = 2
	}
}

// crashes fails a task each half second until the breaker puts the release
// before it back.
func crashes(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	for failures := int(age / (500 * time.Millisecond)); d.Failures < min(failures, 3); d.Failures++ {
		f.stop(d, "Essential container in task exited", new(1), "", "catalog: read configuration: DATABASE_SECRET is not JSON", "catalog: exiting")
	}
	putBack(f, d, age)
}

// unhealthy never passes the load balancer's check.
func unhealthy(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	for failures := int(age / (500 * time.Millisecond)); d.Failures < min(failures, 3); d.Failures++ {
		f.say("(port 20003) is unhealthy in (target-group arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/catalog-http/0123456789abcdef) due to (reason Health checks failed with these codes: [503]).")
		f.stop(d, "Task failed ELB health checks in (target-group catalog-http)", new(143), "", "catalog: database does not answer")
	}
	putBack(f, d, age)
}

func putBack(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	if d.Failures < 3 {
		return
	}
	d.Breaker, d.State = "TRIGGERED", rollout.StateRollbackInProgress
	d.RollbackReason = "Service deployment rolled back because the circuit breaker threshold was exceeded."
	if age >= 3*time.Second {
		d.State, d.PutBack, d.FinishedAt = rollout.StateRollbackSuccessful, d.before, f.clock.Now()
		f.service.TaskDefinition = d.before
		f.serve(d.before, 2)
	}
}

// noCandidate fails as the first deployment of a service does.
func noCandidate(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	crashes(f, d, min(age, 2*time.Second))
	if age >= 2*time.Second {
		d.State, d.RollbackReason = rollout.StateRollbackFailed, ""
		d.Reason = "Service deployment failed because the circuit breaker threshold was exceeded. No rollback candidate was found to run the rollback."
	}
}

// noRollback fails where the breaker does not put anything back.
func noRollback(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	crashes(f, d, min(age, 1900*time.Millisecond))
	if age >= 1900*time.Millisecond {
		d.State, d.RollbackReason = rollout.StateStopped, ""
	}
}

// cannotPull never gets a container to run.
func cannotPull(f *fakeAWS, d *fakeDeployment, age time.Duration) {
	for failures := int(age / (500 * time.Millisecond)); d.Failures < min(failures, 3); d.Failures++ {
		f.stop(d, "CannotPullContainerError: pull image manifest has been retried 5 time(s)", nil, "CannotPullContainerError: not found")
	}
	putBack(f, d, age)
}

// stopped is stopped by somebody after a second.
func stopped(_ *fakeAWS, d *fakeDeployment, age time.Duration) {
	if age >= time.Second {
		d.State, d.Reason = rollout.StateStopped, "Service deployment was stopped by request."
	}
}

// stuck stays in progress.
func stuck(_ *fakeAWS, d *fakeDeployment, _ time.Duration) { d.Pending = 2 }

// overtaken is superseded by another deployment at a given age.
func overtaken(at time.Duration, by string) behaviour {
	return func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		if age < at {
			d.Pending = 2
			return
		}
		f.begin(by, nil)
		f.service.TaskDefinition = by
	}
}

// vanished is replaced so early that ECS never lists it.
func vanished(by string) behaviour {
	return func(f *fakeAWS, _ *fakeDeployment, _ time.Duration) {
		f.deployments = f.deployments[:len(f.deployments)-1]
		f.begin(by, nil)
		f.service.TaskDefinition = by
	}
}

// atOnce runs another behaviour to its end before anybody looks.
func atOnce(act behaviour) behaviour {
	return func(f *fakeAWS, d *fakeDeployment, _ time.Duration) { act(f, d, time.Hour) }
}

// overtakenUnseen stops at a second; what overtook it is listed a second later.
func overtakenUnseen(by string) behaviour {
	return func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		if age < time.Second {
			return
		}
		d.State = rollout.StateStopped
		f.laterAt = f.clock.Now().Add(time.Second)
		f.later = func() {
			f.begin(by, nil)
			f.service.TaskDefinition = by
		}
	}
}
