package ecsapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

func (a *service) registerTaskDefinition(ctx context.Context, in *ecs.RegisterTaskDefinitionInput) (*ecs.RegisterTaskDefinitionOutput, error) {
	if err := checkDefinition(in); err != nil {
		return nil, err
	}
	def := types.TaskDefinition{
		Family: in.Family, ContainerDefinitions: slices.Clone(in.ContainerDefinitions),
		Cpu: in.Cpu, Memory: in.Memory, NetworkMode: in.NetworkMode, RuntimePlatform: in.RuntimePlatform,
		ExecutionRoleArn: in.ExecutionRoleArn, TaskRoleArn: in.TaskRoleArn,
		RequiresCompatibilities: in.RequiresCompatibilities, EphemeralStorage: in.EphemeralStorage,
		Volumes: []types.Volume{}, PlacementConstraints: []types.TaskDefinitionPlacementConstraint{},
		Compatibilities: []types.Compatibility{types.CompatibilityEc2},
	}
	for i := range def.ContainerDefinitions {
		c := &def.ContainerDefinitions[i]
		if c.Essential == nil {
			c.Essential = aws.Bool(true)
		}
	}
	cpu, memory, err := taskSize(aws.ToString(in.Cpu), aws.ToString(in.Memory))
	if err == nil && in.NetworkMode == types.NetworkModeAwsvpc {
		def.Cpu, def.Memory = aws.String(cpu), aws.String(memory)
		def.Compatibilities = append(def.Compatibilities, types.CompatibilityFargate)
	}
	def, err = a.sched.RegisterDefinition(ctx, def, in.Tags)
	if err != nil {
		return nil, err
	}
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: &def, Tags: in.Tags}, nil
}

func (a *service) describeTaskDefinition(_ context.Context, in *ecs.DescribeTaskDefinitionInput) (*ecs.DescribeTaskDefinitionOutput, error) {
	def, tags, found := a.sched.Definition(aws.ToString(in.TaskDefinition))
	if !found {
		return nil, ecserr.Client("Unable to describe task definition.")
	}
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &def}
	if slices.Contains(in.Include, types.TaskDefinitionFieldTags) {
		out.Tags = append([]types.Tag{}, tags...)
	}
	return out, nil
}

func (a *service) deregisterTaskDefinition(ctx context.Context, in *ecs.DeregisterTaskDefinitionInput) (*ecs.DeregisterTaskDefinitionOutput, error) {
	def, err := a.sched.ChangeDefinition(ctx, aws.ToString(in.TaskDefinition), func(def *types.TaskDefinition) error {
		if def.Status == types.TaskDefinitionStatusActive {
			def.Status = types.TaskDefinitionStatusInactive
			def.DeregisteredAt = aws.Time(a.sched.Now())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: &def}, nil
}

// deleteTaskDefinitions marks INACTIVE revisions for deletion. As in ECS they
// stay DELETE_IN_PROGRESS while something may refer to them.
func (a *service) deleteTaskDefinitions(ctx context.Context, in *ecs.DeleteTaskDefinitionsInput) (*ecs.DeleteTaskDefinitionsOutput, error) {
	if len(in.TaskDefinitions) > 10 {
		return nil, ecserr.Invalid("At most 10 task definitions can be deleted at once.")
	}
	out := &ecs.DeleteTaskDefinitionsOutput{TaskDefinitions: []types.TaskDefinition{}, Failures: []types.Failure{}}
	for _, name := range in.TaskDefinitions {
		def, err := a.sched.ChangeDefinition(ctx, name, func(def *types.TaskDefinition) error {
			if def.Status == types.TaskDefinitionStatusActive {
				return ecserr.Client("The specified task definition is still in ACTIVE status. Please deregister the target and try again.")
			}
			def.Status = types.TaskDefinitionStatusDeleteInProgress
			def.DeleteRequestedAt = aws.Time(a.sched.Now())
			return nil
		})
		if err != nil {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(name), Reason: aws.String(err.Error())})
			continue
		}
		out.TaskDefinitions = append(out.TaskDefinitions, def)
	}
	return out, nil
}

func (a *service) listTaskDefinitions(_ context.Context, in *ecs.ListTaskDefinitionsInput) (*ecs.ListTaskDefinitionsOutput, error) {
	status := in.Status
	if status == "" {
		status = types.TaskDefinitionStatusActive
	}
	var defs []types.TaskDefinition
	for _, def := range a.sched.Definitions() {
		if def.Status == status && (in.FamilyPrefix == nil || *def.Family == *in.FamilyPrefix) {
			defs = append(defs, def)
		}
	}
	by := ascending
	if in.Sort == types.SortOrderDesc {
		by = descending
		slices.Reverse(defs)
	}
	key := func(def types.TaskDefinition) string { return fmt.Sprintf("%s:%010d", *def.Family, def.Revision) }
	defs, next, err := page(defs, key, by, in.MaxResults, in.NextToken, maxPage)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListTaskDefinitionsOutput{TaskDefinitionArns: []string{}, NextToken: next}
	for _, def := range defs {
		out.TaskDefinitionArns = append(out.TaskDefinitionArns, *def.TaskDefinitionArn)
	}
	return out, nil
}

func (a *service) listTaskDefinitionFamilies(_ context.Context, in *ecs.ListTaskDefinitionFamiliesInput) (*ecs.ListTaskDefinitionFamiliesOutput, error) {
	active := map[string]bool{}
	for _, def := range a.sched.Definitions() {
		if strings.HasPrefix(*def.Family, aws.ToString(in.FamilyPrefix)) {
			active[*def.Family] = active[*def.Family] || def.Status == types.TaskDefinitionStatusActive
		}
	}
	var families []string
	for family, on := range active {
		switch in.Status {
		case types.TaskDefinitionFamilyStatusAll:
		case types.TaskDefinitionFamilyStatusActive:
			if !on {
				continue
			}
		case types.TaskDefinitionFamilyStatusInactive:
			if on {
				continue
			}
		}
		families = append(families, family)
	}
	families, next, err := arnPage(families, in.MaxResults, in.NextToken, maxPage)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTaskDefinitionFamiliesOutput{Families: families, NextToken: next}, nil
}
