// Package gateway is the embedded cluster's load balancer: one listener that
// speaks HTTP/1.1 and HTTP/2 without TLS and behaves as an AWS Application Load
// Balancer does, so that what a service meets on a laptop it meets in AWS.
//
// Listener rules pick a target group by priority, the group picks a healthy
// target, the request is proxied once. Targets are probed, registered and
// drained as in Elastic Load Balancing; states and reason codes are those of
// its DescribeTargetHealth.
//
// It differs from the real thing on purpose in five ways. A new target is
// probed every 25 ms until it first answers, so that a rollout on a laptop does
// not wait for a health check interval. A target that refuses a connection is
// probed at once. When every target is unhealthy it answers 503 instead of
// sending requests to all of them ("fail open"). A body that comes too slowly
// is given up (BodyPace), and a head that the services would refuse is refused
// here. It counts gRPC statuses, which a load balancer in AWS does not look at.
//
// It is not a general proxy: it has no TLS, no stickiness and no authentication.
package gateway
