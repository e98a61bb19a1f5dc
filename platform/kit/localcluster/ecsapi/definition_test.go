package ecsapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

func TestRefusedDefinitions(t *testing.T) {
	c := newCluster(t)
	sidecar := func(in *ecs.RegisterTaskDefinitionInput, edit func(*types.ContainerDefinition)) {
		extra := types.ContainerDefinition{Name: aws.String("extra"), Image: aws.String("extra")}
		edit(&extra)
		in.ContainerDefinitions = append(in.ContainerDefinitions, extra)
	}
	web := func(in *ecs.RegisterTaskDefinitionInput) *types.ContainerDefinition {
		return &in.ContainerDefinitions[0]
	}
	tests := map[string]struct {
		edit func(*ecs.RegisterTaskDefinitionInput)
		says string
	}{
		"no such size":    {func(in *ecs.RegisterTaskDefinitionInput) { in.Memory = aws.String("4096") }, "With cpu 256, memory is 512, 1024 or 2048"},
		"no such cpu":     {func(in *ecs.RegisterTaskDefinitionInput) { in.Cpu = aws.String("300") }, "It is one of 256, 512"},
		"no size":         {func(in *ecs.RegisterTaskDefinitionInput) { in.Cpu = nil }, "be defined at the task level"},
		"unreadable size": {func(in *ecs.RegisterTaskDefinitionInput) { in.Memory = aws.String("much") }, "Invalid 'memory'"},
		"network mode":    {func(in *ecs.RegisterTaskDefinitionInput) { in.NetworkMode = types.NetworkModeBridge }, "'awsvpc'"},
		"family":          {func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("a b") }, "Family contains invalid characters"},
		"no container":    {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions = []types.ContainerDefinition{} }, "cannot be empty"},
		"two of a name": {func(in *ecs.RegisterTaskDefinitionInput) {
			sidecar(in, func(c *types.ContainerDefinition) { c.Name = aws.String("web") })
		}, "must be unique"},
		"none essential": {func(in *ecs.RegisterTaskDefinitionInput) { web(in).Essential = aws.Bool(false) }, "must be marked essential"},
		"no image":       {func(in *ecs.RegisterTaskDefinitionInput) { web(in).Image = nil }, "Container.image"},
		"one port twice": {func(in *ecs.RegisterTaskDefinitionInput) {
			sidecar(in, func(c *types.ContainerDefinition) { c.PortMappings = web(in).PortMappings })
		}, "mapped more than once"},
		"host port": {func(in *ecs.RegisterTaskDefinitionInput) { web(in).PortMappings[0].HostPort = aws.Int32(80) }, "must match"},
		"dependency missing": {func(in *ecs.RegisterTaskDefinitionInput) {
			web(in).DependsOn = []types.ContainerDependency{{ContainerName: aws.String("db"), Condition: types.ContainerConditionStart}}
		}, "depends on db"},
		"dependency on itself": {func(in *ecs.RegisterTaskDefinitionInput) {
			web(in).DependsOn = []types.ContainerDependency{{ContainerName: aws.String("web"), Condition: types.ContainerConditionStart}}
		}, "cycle"},
		"healthy without check": {func(in *ecs.RegisterTaskDefinitionInput) {
			sidecar(in, func(*types.ContainerDefinition) {})
			web(in).DependsOn = []types.ContainerDependency{{ContainerName: aws.String("extra"), Condition: types.ContainerConditionHealthy}}
		}, "no health check"},
		"log driver": {func(in *ecs.RegisterTaskDefinitionInput) {
			web(in).LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverSplunk}
		}, "log driver splunk is not available"},
		"log options": {func(in *ecs.RegisterTaskDefinitionInput) {
			web(in).LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs}
		}, "awslogs-group"},
		"volumes":    {func(in *ecs.RegisterTaskDefinitionInput) { in.Volumes = []types.Volume{{Name: aws.String("v")}} }, "volumes in a task definition is not available"},
		"privileged": {func(in *ecs.RegisterTaskDefinitionInput) { web(in).Privileged = aws.Bool(true) }, "privileged (container web) is not available"},
		"grace":      {func(in *ecs.RegisterTaskDefinitionInput) { web(in).StopTimeout = aws.Int32(121) }, "between 0 and 120"},
		"secret": {func(in *ecs.RegisterTaskDefinitionInput) {
			web(in).Secrets = []types.Secret{{Name: aws.String("S"), ValueFrom: aws.String("")}}
		}, "valueFrom"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := definition("run")
			tt.edit(in)
			_, err := c.RegisterTaskDefinition(c.ctx, in)
			var api smithy.APIError
			if !errors.As(err, &api) || !strings.Contains(api.ErrorMessage(), tt.says) {
				t.Errorf("error = %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	c := newCluster(t)
	for _, size := range [][2]string{{"256", "512"}, {".25 vCPU", "2GB"}, {"1 vCPU", "8 GB"}, {"4096", "30720"}, {"8192", "20480"}, {"16384", "122880"}} {
		in := definition("run")
		in.Cpu, in.Memory = aws.String(size[0]), aws.String(size[1])
		if _, err := c.RegisterTaskDefinition(c.ctx, in); err != nil {
			t.Errorf("cpu %s, memory %s: %v", size[0], size[1], err)
		}
	}
}
