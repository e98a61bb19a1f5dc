// Package ecsapi serves the Amazon ECS API from the scheduler: it checks what
// a request asks for, refuses what the embedded cluster would not honour, and
// answers in AWS's shapes, with AWS's errors, failures and pagination. The
// decisions are the scheduler's.
package ecsapi

import (
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// service is the API over one scheduler.
type service struct {
	sched *scheduler.Scheduler
	// arns is the start of every ARN: "arn:aws:ecs:REGION:ACCOUNT:".
	arns string
}

// New describes the ECS API of a scheduler for wire.NewHandler. region and
// account are those the scheduler was made with.
func New(s *scheduler.Scheduler, region, account string) wire.API {
	a := &service{sched: s, arns: "arn:aws:ecs:" + region + ":" + account + ":"}
	return wire.API{
		Protocol: wire.Protocol{Target: "AmazonEC2ContainerServiceV20141113", Signing: "ecs", Names: wire.LowerCamel},
		Operations: map[string]wire.Operation{
			"CreateCluster":               wire.Op(a.createCluster),
			"DescribeClusters":            wire.Op(a.describeClusters),
			"DeleteCluster":               wire.Op(a.deleteCluster),
			"ListClusters":                wire.Op(a.listClusters),
			"PutClusterCapacityProviders": wire.Op(a.putClusterCapacityProviders),
			"UpdateCluster":               wire.Op(a.updateCluster),
			"UpdateClusterSettings":       wire.Op(a.updateClusterSettings),
			"RegisterTaskDefinition":      wire.Op(a.registerTaskDefinition),
			"DescribeTaskDefinition":      wire.Op(a.describeTaskDefinition),
			"DeregisterTaskDefinition":    wire.Op(a.deregisterTaskDefinition),
			"DeleteTaskDefinitions":       wire.Op(a.deleteTaskDefinitions),
			"ListTaskDefinitions":         wire.Op(a.listTaskDefinitions),
			"ListTaskDefinitionFamilies":  wire.Op(a.listTaskDefinitionFamilies),
			"CreateService":               wire.Op(a.createService),
			"UpdateService":               wire.Op(a.updateService),
			"DeleteService":               wire.Op(a.deleteService),
			"DescribeServices":            wire.Op(a.describeServices),
			"ListServices":                wire.Op(a.listServices),
			"RunTask":                     wire.Op(a.runTask),
			"StopTask":                    wire.Op(a.stopTask),
			"DescribeTasks":               wire.Op(a.describeTasks),
			"ListTasks":                   wire.Op(a.listTasks),
			"ListServiceDeployments":      wire.Op(a.listServiceDeployments),
			"DescribeServiceDeployments":  wire.Op(a.describeServiceDeployments),
			"DescribeServiceRevisions":    wire.Op(a.describeServiceRevisions),
			"StopServiceDeployment":       wire.Op(a.stopServiceDeployment),
			"TagResource":                 wire.Op(a.tagResource),
			"UntagResource":               wire.Op(a.untagResource),
			"ListTagsForResource":         wire.Op(a.listTagsForResource),
		},
	}
}
