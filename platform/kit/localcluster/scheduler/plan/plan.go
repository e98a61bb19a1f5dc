// Package plan decides, from a snapshot of one service, which tasks to start
// and to stop next, when a deployment is complete, and when it has failed. It
// is pure: no clock, no store, no side effect.
package plan

import "time"

// Task is one task of the service that has not stopped yet.
type Task struct {
	ID string
	// Deployment is the deployment the task belongs to.
	Deployment string
	// Stopping tasks no longer count, but hold up the end of a deployment.
	Stopping bool
	// Running tasks have reached RUNNING; Healthy ones also pass every check
	// that applies to them.
	Running, Healthy bool
	// Proven tasks have been healthy at some time.
	Proven bool
	// CreatedAt orders the tasks.
	CreatedAt time.Time
}

// View is the snapshot a plan is made from.
type View struct {
	// Desired is the number of tasks wanted, Bounds what may be up meanwhile.
	Desired int
	Bounds  Bounds
	// Primary is the deployment that should end up with every task.
	Primary string
	// Settled is the deployment that served before the primary one, where both
	// run side by side; Moved says that it is not needed any more.
	// Rest says that a start of it has to wait.
	Settled     string
	Moved, Rest bool
	// Halted deployments have failed and start nothing; Throttled ones wait
	// for their back-off.
	Halted, Throttled bool
	// Draining services stop everything.
	Draining bool
	Tasks    []Task
}

// Step is what to do next. The zero Step is: nothing.
type Step struct {
	// Start is how many tasks of the primary deployment to start, Restore how
	// many of the settled one.
	Start, Restore int
	// Stop lists the ids of tasks to stop.
	Stop []string
	// Stuck is set when the bounds allow neither a start nor a stop although
	// the deployment is not done.
	Stuck bool
}

// Strategy plans the next step of a service. Each deployment strategy is one.
type Strategy func(View) Step

// Bounds are the numbers of tasks that a deployment has to stay between.
type Bounds struct {
	// Min healthy tasks are kept; at most Max tasks are starting or running.
	Min, Max int
}

// BoundsOf applies minimumHealthyPercent (rounded up) and maximumPercent
// (rounded down) to a desired count.
// Source: DeploymentConfiguration in the ECS API reference.
func BoundsOf(desired int, minimumHealthyPercent, maximumPercent int32) Bounds {
	return Bounds{
		Min: (desired*int(minimumHealthyPercent) + 99) / 100,
		Max: desired * int(maximumPercent) / 100,
	}
}
