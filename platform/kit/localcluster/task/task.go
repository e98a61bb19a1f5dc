// Package task holds what the scheduler and a task runtime tell each other
// about one task: what to run (Spec) and how it is going (Report). It carries
// no behaviour of its own, so that neither side has to import the other.
package task

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Spec is everything a runtime needs to run one task.
type Spec struct {
	// ARN and ID name the task; ID is the last part of ARN, 32 hex digits.
	ARN, ID string
	// ClusterARN and ClusterName name the cluster the task belongs to.
	ClusterARN, ClusterName string
	// Group is "service:NAME" or "family:NAME".
	Group string
	// LaunchType is what the caller asked for, usually FARGATE.
	LaunchType string
	// Definition is the whole registered task definition.
	Definition types.TaskDefinition
	// Overrides are applied to Definition by the runtime: container command,
	// environment, cpu and memory.
	Overrides types.TaskOverride
	// MetadataURI is where the task finds its metadata. A container's
	// ECS_CONTAINER_METADATA_URI_V4 is MetadataURI, or, to name the container
	// in a task of several, MetadataURI + "-" + its name.
	MetadataURI string
	// CreatedAt is when the scheduler created the task.
	CreatedAt time.Time
}

// Container states as a runtime reports them.
const (
	StatusPending = "PENDING"
	StatusRunning = "RUNNING"
	StatusStopped = "STOPPED"
)

// Container health as a runtime reports it.
const (
	HealthHealthy   = "HEALTHY"
	HealthUnhealthy = "UNHEALTHY"
	HealthUnknown   = "UNKNOWN"
)

// Report is a runtime's whole view of one task. Each report replaces the one
// before; reports of one task arrive in order.
type Report struct {
	TaskARN string
	// Containers lists every container of the definition, in its order.
	Containers []ContainerReport
	// PullStartedAt and PulledAt bracket the image pull, StartedAt is when the
	// last container that the task waits for had started.
	PullStartedAt, PulledAt, StartedAt *time.Time
	// StopCode and StoppedReason are set when the runtime itself ended the
	// task, with the words ECS uses: "TaskFailedToStart" and
	// "CannotPullContainerError: ...". Empty means the scheduler derives them.
	StopCode, StoppedReason string
}

// ContainerReport is the state of one container.
type ContainerReport struct {
	Name string
	// Status is PENDING, RUNNING or STOPPED.
	Status string
	// ExitCode is set when the container's process ended by itself or by a
	// signal (128 + signal number).
	ExitCode *int32
	// Reason says why the container is stopped or did not start.
	Reason string
	// Health is HEALTHY, UNHEALTHY or UNKNOWN (no check configured, or none
	// has finished yet).
	Health string
	// RuntimeID names the container to its runtime, ImageDigest what it runs.
	RuntimeID, ImageDigest string
	// Ports are the allotted host ports, one for each port mapping.
	Ports []HostPort
}

// HostPort is one port mapping as allotted.
type HostPort struct {
	// Name is the port mapping's name, may be empty.
	Name string
	// ContainerPort is the number the definition names, HostPort the one the
	// task listens on.
	ContainerPort, HostPort int32
	// Protocol is "tcp" or "udp".
	Protocol string
}

// Stopped reports whether every container has stopped.
func (r Report) Stopped() bool {
	for _, c := range r.Containers {
		if c.Status != StatusStopped {
			return false
		}
	}
	return len(r.Containers) > 0
}
