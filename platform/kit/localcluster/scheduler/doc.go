// Package scheduler decides what runs on the embedded cluster. It keeps ECS
// clusters, task definitions, services, deployments and tasks as records in
// the state store, plans the next step from a snapshot of them, writes the
// plan down, and only then tells the task runtime and the load balancer. It
// knows nothing of wire formats (package ecsapi) or of processes (package
// runtime).
package scheduler
