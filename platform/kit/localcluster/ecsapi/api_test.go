package ecsapi_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecsapi"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const (
	account = "000000000000"
	region  = "us-east-1"
	group   = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
)

// cluster is the API on a running scheduler, and the AWS SDK's client of it.
type cluster struct {
	*ecs.Client
	t   *testing.T
	ctx context.Context
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	store, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runtime := &fake.Runtime{Behave: func(spec task.Spec) fake.Behaviour {
		if *spec.Definition.ContainerDefinitions[0].Image == "crash" {
			return fake.Crash
		}
		return fake.Run
	}}
	targets := &fake.Targets{}
	s, err := scheduler.New(scheduler.Config{
		Store: store, Runtime: runtime, Targets: targets, Clock: clockwork.NewRealClock(),
		IDs: rand.NewChaCha8([32]byte{1}), Account: account, Region: region,
		MetadataBaseURL: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.Report, targets.Changed = s.Report, s.TargetChanged
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	server := httptest.NewServer(wire.NewHandler(ecsapi.New(s, region, account)))
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	client := ecs.New(ecs.Options{
		Region: region, BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	return &cluster{Client: client, t: t, ctx: ctx}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func definition(image string) *ecs.RegisterTaskDefinitionInput {
	return &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), Cpu: aws.String("256"), Memory: aws.String("0.5 GB"),
		NetworkMode:             types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("web"), Image: aws.String(image),
			PortMappings: []types.PortMapping{{Name: aws.String("http"), ContainerPort: aws.Int32(8080)}},
		}},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
	}
}

// serve registers a definition and creates the service "web" of two tasks.
func (c *cluster) serve() types.Service {
	c.t.Helper()
	must[*ecs.CreateClusterOutput](c.t)(c.CreateCluster(c.ctx, &ecs.CreateClusterInput{ClusterName: aws.String("test")}))
	must[*ecs.RegisterTaskDefinitionOutput](c.t)(c.RegisterTaskDefinition(c.ctx, definition("run:1")))
	out := must[*ecs.CreateServiceOutput](c.t)(c.CreateService(c.ctx, &ecs.CreateServiceInput{
		Cluster: aws.String("test"), ServiceName: aws.String("web"), TaskDefinition: aws.String("web"),
		DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		DeploymentConfiguration: &types.DeploymentConfiguration{
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
		LoadBalancers: []types.LoadBalancer{{
			TargetGroupArn: aws.String(group), ContainerName: aws.String("web"), ContainerPort: aws.Int32(8080),
		}},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
	}))
	c.stable()
	return *out.Service
}

func (c *cluster) stable() types.Service {
	c.t.Helper()
	in := &ecs.DescribeServicesInput{Cluster: aws.String("test"), Services: []string{"web"}, Include: []types.ServiceField{types.ServiceFieldTags}}
	waiter := ecs.NewServicesStableWaiter(c, func(o *ecs.ServicesStableWaiterOptions) {
		o.MinDelay = time.Millisecond
		o.MaxDelay = 10 * time.Millisecond
	})
	out, err := waiter.WaitForOutput(c.ctx, in, time.Minute)
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Services[0]
}

// verdict waits for a service deployment's end.
func (c *cluster) verdict(arn *string) types.ServiceDeployment {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	for {
		out := must[*ecs.DescribeServiceDeploymentsOutput](c.t)(c.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{*arn}}))
		if d := out.ServiceDeployments[0]; d.FinishedAt != nil {
			return d
		}
	}
}

func TestDeployThroughTheSDK(t *testing.T) {
	c := newCluster(t)
	created := c.serve()
	if *created.ServiceArn != "arn:aws:ecs:us-east-1:000000000000:service/test/web" {
		t.Errorf("service ARN %s", *created.ServiceArn)
	}
	next := must[*ecs.RegisterTaskDefinitionOutput](t)(c.RegisterTaskDefinition(c.ctx, definition("run:2")))
	if next.TaskDefinition.Revision != 2 || *next.TaskDefinition.Memory != "512" || len(next.Tags) != 1 {
		t.Errorf("registered %+v", next.TaskDefinition)
	}
	update := must[*ecs.UpdateServiceOutput](t)(c.UpdateService(c.ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String("test"), Service: created.ServiceArn, TaskDefinition: aws.String("web:2"),
	}))
	if d := c.verdict(update.Service.CurrentServiceDeployment); d.Status != types.ServiceDeploymentStatusSuccessful {
		t.Errorf("deployment %s: %s", d.Status, aws.ToString(d.StatusReason))
	}
	svc := c.stable()
	if *svc.TaskDefinition != *next.TaskDefinition.TaskDefinitionArn || len(svc.Tags) != 1 || svc.RunningCount != 2 {
		t.Errorf("service runs %s, %d tasks, tags %v", *svc.TaskDefinition, svc.RunningCount, svc.Tags)
	}
	bad := must[*ecs.RegisterTaskDefinitionOutput](t)(c.RegisterTaskDefinition(c.ctx, definition("crash")))
	update = must[*ecs.UpdateServiceOutput](t)(c.UpdateService(c.ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String("test"), Service: aws.String("web"), TaskDefinition: bad.TaskDefinition.TaskDefinitionArn,
	}))
	if d := c.verdict(update.Service.CurrentServiceDeployment); d.Status != types.ServiceDeploymentStatusRollbackSuccessful {
		t.Errorf("deployment of a crash %s: %s", d.Status, aws.ToString(d.StatusReason))
	}
	list := must[*ecs.ListServiceDeploymentsOutput](t)(c.ListServiceDeployments(c.ctx, &ecs.ListServiceDeploymentsInput{Cluster: aws.String("test"), Service: aws.String("web")}))
	if len(list.ServiceDeployments) != 3 || *list.ServiceDeployments[0].ServiceDeploymentArn != *update.Service.CurrentServiceDeployment {
		t.Errorf("%d service deployments, want 3, the newest first", len(list.ServiceDeployments))
	}
	revisions := must[*ecs.DescribeServiceRevisionsOutput](t)(c.DescribeServiceRevisions(c.ctx, &ecs.DescribeServiceRevisionsInput{
		ServiceRevisionArns: []string{*list.ServiceDeployments[1].TargetServiceRevisionArn, "arn:none"},
	}))
	if len(revisions.ServiceRevisions) != 1 || *revisions.ServiceRevisions[0].ContainerImages[0].Image != "run:2" || len(revisions.Failures) != 1 {
		t.Errorf("revisions = %+v, failures %+v", revisions.ServiceRevisions, revisions.Failures)
	}
}

func TestTasksThroughTheSDK(t *testing.T) {
	c := newCluster(t)
	c.serve()
	listed := must[*ecs.ListTasksOutput](t)(c.ListTasks(c.ctx, &ecs.ListTasksInput{Cluster: aws.String("test"), ServiceName: aws.String("web")}))
	if len(listed.TaskArns) != 2 {
		t.Fatalf("%d tasks, want 2", len(listed.TaskArns))
	}
	stopped := listed.TaskArns[0]
	must[*ecs.StopTaskOutput](t)(c.StopTask(c.ctx, &ecs.StopTaskInput{Cluster: aws.String("test"), Task: aws.String(stopped), Reason: aws.String("test")}))
	waiter := ecs.NewTasksStoppedWaiter(c, func(o *ecs.TasksStoppedWaiterOptions) {
		o.MinDelay = time.Millisecond
		o.MaxDelay = 10 * time.Millisecond
	})
	out, err := waiter.WaitForOutput(c.ctx, &ecs.DescribeTasksInput{Cluster: aws.String("test"), Tasks: []string{stopped}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Tasks[0]; got.StopCode != types.TaskStopCodeUserInitiated || *got.StoppedReason != "test" || got.StoppedAt == nil {
		t.Errorf("task = %s %q", got.StopCode, *got.StoppedReason)
	}
	c.stable()
	described := must[*ecs.DescribeTasksOutput](t)(c.DescribeTasks(c.ctx, &ecs.DescribeTasksInput{Cluster: aws.String("test"), Tasks: []string{listed.TaskArns[1], "none"}}))
	if len(described.Failures) != 1 || *described.Failures[0].Reason != "MISSING" {
		t.Errorf("failures = %+v", described.Failures)
	}
	got := described.Tasks[0]
	if *got.LastStatus != "RUNNING" || *got.Group != "service:web" || got.Attachments[0].Id == nil || len(got.Containers[0].NetworkBindings) != 1 {
		t.Errorf("task = %+v", got)
	}
}

func TestTypedErrors(t *testing.T) {
	c := newCluster(t)
	c.serve()
	test, none := aws.String("test"), aws.String("none")
	tests := map[string]struct {
		call func() error
		code string
	}{
		"no cluster":         {func() error { _, err := c.ListServices(c.ctx, &ecs.ListServicesInput{Cluster: none}); return err }, "ClusterNotFoundException"},
		"no default cluster": {func() error { _, err := c.ListServices(c.ctx, &ecs.ListServicesInput{}); return err }, "ClusterNotFoundException"},
		"no service": {func() error {
			_, err := c.UpdateService(c.ctx, &ecs.UpdateServiceInput{Cluster: test, Service: none})
			return err
		}, "ServiceNotFoundException"},
		"no task": {func() error { _, err := c.StopTask(c.ctx, &ecs.StopTaskInput{Cluster: test, Task: none}); return err }, "InvalidParameterException"},
		"no definition": {func() error {
			_, err := c.DescribeTaskDefinition(c.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: none})
			return err
		}, "ClientException"},
		"run no definition": {func() error {
			_, err := c.RunTask(c.ctx, &ecs.RunTaskInput{Cluster: test, TaskDefinition: none})
			return err
		}, "ClientException"},
		"no deployment": {func() error {
			_, err := c.StopServiceDeployment(c.ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: none})
			return err
		}, "ServiceDeploymentNotFoundException"},
		"cluster in use": {func() error { _, err := c.DeleteCluster(c.ctx, &ecs.DeleteClusterInput{Cluster: test}); return err }, "ClusterContainsServicesException"},
		"service in use": {func() error {
			_, err := c.DeleteService(c.ctx, &ecs.DeleteServiceInput{Cluster: test, Service: aws.String("web")})
			return err
		}, "InvalidParameterException"},
		"created twice": {func() error {
			_, err := c.CreateService(c.ctx, &ecs.CreateServiceInput{Cluster: test, ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), DesiredCount: aws.Int32(1)})
			return err
		}, "InvalidParameterException"},
		"EC2": {func() error {
			_, err := c.RunTask(c.ctx, &ecs.RunTaskInput{Cluster: test, TaskDefinition: aws.String("web"), LaunchType: types.LaunchTypeEc2})
			return err
		}, "UnsupportedFeatureException"},
		"blue/green without a second group": {func() error {
			_, err := c.UpdateService(c.ctx, &ecs.UpdateServiceInput{Cluster: test, Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen}})
			return err
		}, "InvalidParameterException"},
		"hooks": {func() error {
			_, err := c.UpdateService(c.ctx, &ecs.UpdateServiceInput{Cluster: test, Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{LifecycleHooks: []types.DeploymentLifecycleHook{{}}}})
			return err
		}, "UnsupportedFeatureException"},
		"no room": {func() error {
			_, err := c.UpdateService(c.ctx, &ecs.UpdateServiceInput{Cluster: test, Service: aws.String("web"), DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(100)}})
			return err
		}, "InvalidParameterException"},
		"bad token": {func() error {
			_, err := c.ListTasks(c.ctx, &ecs.ListTasksInput{Cluster: test, NextToken: aws.String("!")})
			return err
		}, "InvalidParameterException"},
		"unknown operation": {func() error {
			_, err := c.CreateTaskSet(c.ctx, &ecs.CreateTaskSetInput{Cluster: test, Service: aws.String("web"), TaskDefinition: aws.String("web")})
			return err
		}, "UnknownOperationException"},
		"tag on nothing": {func() error {
			_, err := c.TagResource(c.ctx, &ecs.TagResourceInput{ResourceArn: none, Tags: []types.Tag{}})
			return err
		}, "InvalidParameterException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.call()
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != tt.code {
				t.Errorf("error = %v, want %s", err, tt.code)
			}
		})
	}
}

func TestPages(t *testing.T) {
	c := newCluster(t)
	for range 5 {
		must[*ecs.RegisterTaskDefinitionOutput](t)(c.RegisterTaskDefinition(c.ctx, definition("run")))
	}
	for sort, want := range map[types.SortOrder][]string{types.SortOrderAsc: {"1", "2", "3", "4", "5"}, types.SortOrderDesc: {"5", "4", "3", "2", "1"}} {
		pages := ecs.NewListTaskDefinitionsPaginator(c, &ecs.ListTaskDefinitionsInput{MaxResults: aws.Int32(2), Sort: sort})
		var got []string
		for pages.HasMorePages() {
			for _, arn := range must[*ecs.ListTaskDefinitionsOutput](t)(pages.NextPage(c.ctx)).TaskDefinitionArns {
				got = append(got, arn[len(arn)-1:])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: revisions %v, want %v", sort, got, want)
		}
	}
}

func TestTags(t *testing.T) {
	c := newCluster(t)
	svc := c.serve()
	must[*ecs.TagResourceOutput](t)(c.TagResource(c.ctx, &ecs.TagResourceInput{ResourceArn: svc.ServiceArn, Tags: []types.Tag{
		{Key: aws.String("team"), Value: aws.String("b")}, {Key: aws.String("cost"), Value: aws.String("x")},
	}}))
	must[*ecs.UntagResourceOutput](t)(c.UntagResource(c.ctx, &ecs.UntagResourceInput{ResourceArn: svc.ServiceArn, TagKeys: []string{"cost"}}))
	out := must[*ecs.ListTagsForResourceOutput](t)(c.ListTagsForResource(c.ctx, &ecs.ListTagsForResourceInput{ResourceArn: svc.ServiceArn}))
	if len(out.Tags) != 1 || *out.Tags[0].Value != "b" {
		t.Errorf("tags = %+v", out.Tags)
	}
}

func TestDefinitionLife(t *testing.T) {
	c := newCluster(t)
	must[*ecs.RegisterTaskDefinitionOutput](t)(c.RegisterTaskDefinition(c.ctx, definition("run")))
	if out := must[*ecs.DeleteTaskDefinitionsOutput](t)(c.DeleteTaskDefinitions(c.ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: []string{"web:1"}})); len(out.Failures) != 1 {
		t.Error("an ACTIVE revision was deleted")
	}
	gone := must[*ecs.DeregisterTaskDefinitionOutput](t)(c.DeregisterTaskDefinition(c.ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("web:1")}))
	if gone.TaskDefinition.Status != types.TaskDefinitionStatusInactive || gone.TaskDefinition.DeregisteredAt == nil {
		t.Errorf("deregistered: %s", gone.TaskDefinition.Status)
	}
	again := must[*ecs.RegisterTaskDefinitionOutput](t)(c.RegisterTaskDefinition(c.ctx, definition("run")))
	if again.TaskDefinition.Revision != 2 {
		t.Errorf("revision %d after one was deregistered, want 2", again.TaskDefinition.Revision)
	}
	families := must[*ecs.ListTaskDefinitionFamiliesOutput](t)(c.ListTaskDefinitionFamilies(c.ctx, &ecs.ListTaskDefinitionFamiliesInput{}))
	if !slices.Equal(families.Families, []string{"web"}) {
		t.Errorf("families = %v", families.Families)
	}
}
