//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	cluster  = "slipway-local"
	logGroup = "/slipway/local/catalog"
)

// aws runs the AWS command line against the cluster and decodes its answer.
func (c *checkout) aws(t *testing.T, into any, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal("the AWS command line is not installed: pip install awscli")
	}
	shell := append([]string{
		"env", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION=us-east-1", "AWS_PAGER=",
		path, "--endpoint-url", fmt.Sprintf("http://127.0.0.1:%d", c.Endpoint), "--region", "us-east-1", "--output", "json",
	}, args...)
	r := c.run(t, c.Dir, shell...)
	if r.Code != 0 {
		t.Fatalf("aws %s: exit %d: %s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
			t.Fatalf("aws %s: %v: %s", strings.Join(args, " "), err, r.Stdout)
		}
	}
	return r.Stdout
}

func (w *walk) awsCLI(t *testing.T) {
	var services struct {
		ServiceArns []string `json:"serviceArns"`
	}
	w.aws(t, &services, "ecs", "list-services", "--cluster", cluster)
	if len(services.ServiceArns) != 3 || !strings.HasSuffix(services.ServiceArns[0], "/catalog") {
		t.Errorf("list-services = %v", services)
	}
	out := w.aws(t, nil, "ecs", "describe-services", "--cluster", cluster, "--services", "catalog")
	wantIn(t, "describe-services", out, `"status": "ACTIVE"`, `"runningCount": 2`, `"rolloutState": "COMPLETED"`)
	w.stopTask(t)
	w.forceNewDeployment(t)
	password := strings.TrimSpace(w.aws(t, nil, "ecr", "get-login-password"))
	if password == "" {
		t.Error("get-login-password printed nothing")
	}
	logs := w.aws(t, nil, "logs", "filter-log-events", "--log-group-name", logGroup, "--limit", "5")
	wantIn(t, "filter-log-events", logs, `"message"`, `"logStreamName"`)
}

// stopTask stops one task and waits for the service to replace it.
func (w *walk) stopTask(t *testing.T) {
	before := w.tasks(t)
	if len(before) != 2 {
		t.Fatalf("tasks = %v, want two", before)
	}
	out := w.aws(t, nil, "ecs", "describe-tasks", "--cluster", cluster, "--tasks", before[0])
	wantIn(t, "describe-tasks", out, `"lastStatus": "RUNNING"`, before[0])
	w.aws(t, nil, "ecs", "stop-task", "--cluster", cluster, "--task", before[0], "--reason", "walking")
	eventually(t, 30*time.Second, "the stopped task is replaced", func() error {
		now := w.tasks(t)
		if len(now) != 2 || slices.Contains(now, before[0]) {
			return fmt.Errorf("tasks %v", now)
		}
		return nil
	})
	out = w.aws(t, nil, "ecs", "describe-tasks", "--cluster", cluster, "--tasks", before[0])
	wantIn(t, "the stopped task", out, "walking", "UserInitiated")
}

func (w *walk) forceNewDeployment(t *testing.T) {
	before := w.tasks(t)
	w.aws(t, nil, "ecs", "update-service", "--cluster", cluster, "--service", "catalog", "--force-new-deployment")
	w.aws(t, nil, "ecs", "wait", "services-stable", "--cluster", cluster, "--services", "catalog")
	eventually(t, 30*time.Second, "all tasks are new", func() error {
		for _, task := range w.tasks(t) {
			if slices.Contains(before, task) {
				return fmt.Errorf("%s still runs", task)
			}
		}
		return nil
	})
}

func (c *checkout) awsConfig() aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(fmt.Sprintf("http://127.0.0.1:%d", c.Endpoint)),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

// tasks lists the ids of the running tasks of catalog, through the SDK.
func (w *walk) tasks(t *testing.T) []string {
	t.Helper()
	out, err := ecs.NewFromConfig(w.awsConfig()).ListTasks(context.Background(), &ecs.ListTasksInput{
		Cluster: aws.String(cluster), ServiceName: aws.String("catalog"),
	})
	if err != nil {
		t.Fatalf("list tasks: %v", err)
	}
	slices.Sort(out.TaskArns)
	return out.TaskArns
}

func (w *walk) awsSDK(t *testing.T) {
	ctx := context.Background()
	services := ecs.NewFromConfig(w.awsConfig())
	list, err := services.ListServices(ctx, &ecs.ListServicesInput{Cluster: aws.String(cluster)})
	if err != nil || !slices.ContainsFunc(list.ServiceArns, func(arn string) bool { return strings.HasSuffix(arn, "/catalog") }) {
		t.Fatalf("ListServices = %v, %v", list, err)
	}
	tasks, err := services.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: w.tasks(t)})
	if err != nil || len(tasks.Tasks) != 2 || len(tasks.Failures) != 0 {
		t.Fatalf("DescribeTasks = %v, %v", tasks, err)
	}
	if _, err := services.StopTask(ctx, &ecs.StopTaskInput{
		Cluster: aws.String(cluster), Task: tasks.Tasks[0].TaskArn, Reason: aws.String("walking"),
	}); err != nil {
		t.Fatalf("StopTask: %v", err)
	}
	if _, err := services.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(cluster), Service: aws.String("catalog"), ForceNewDeployment: true,
	}); err != nil {
		t.Fatalf("UpdateService: %v", err)
	}
	if err := ecs.NewServicesStableWaiter(services).Wait(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(cluster), Services: []string{"catalog"},
	}, time.Minute); err != nil {
		t.Fatalf("services-stable: %v", err)
	}
	events, err := cloudwatchlogs.NewFromConfig(w.awsConfig()).FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(logGroup), Limit: aws.Int32(3),
	})
	if err != nil || len(events.Events) == 0 {
		t.Fatalf("FilterLogEvents = %v, %v", events, err)
	}
}

// registry logs in as docker does, with the password of get-login-password,
// and pulls the manifest and a layer of the image that runs.
func (w *walk) registry(t *testing.T) {
	ctx := context.Background()
	out, err := ecr.NewFromConfig(w.awsConfig()).DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("slipway/catalog")})
	if err != nil || len(out.ImageDetails) == 0 {
		t.Fatalf("DescribeImages = %v, %v", out, err)
	}
	ref, err := name.ParseReference(fmt.Sprintf("127.0.0.1:%d/slipway/catalog@%s", w.Endpoint, aws.ToString(out.ImageDetails[0].ImageDigest)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Get(ref); err == nil {
		t.Error("the registry answers without a password")
	}
	password := strings.TrimSpace(w.aws(t, nil, "ecr", "get-login-password"))
	login := remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})
	desc, err := remote.Get(ref, login)
	if err != nil {
		t.Fatalf("pull manifest: %v", err)
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) == 0 {
			t.Fatalf("index manifest: %v, %v", manifest, err)
		}
		return
	}
	image, err := desc.Image()
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := image.Layers(); err != nil || len(layers) == 0 {
		t.Errorf("layers = %v, %v", layers, err)
	}
}
