package awsx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecsapi"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/logs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/parameters"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/secrets"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

const (
	account = "000000000000"
	region  = "us-east-1"
)

// cluster is the embedded cluster's control plane over HTTP with a task
// runtime in memory, and the shell of one service on it.
type cluster struct {
	t       *testing.T
	url     string
	client  *awsx.Client
	deploy  *rollout.Deployer
	logs    *logs.Store
	runtime *fake.Runtime
	sdk     aws.Config

	mu   sync.Mutex
	acts map[string]fake.Behaviour // by a part of the image, or "migrate"
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, acts: map[string]fake.Behaviour{"migrate": fake.Finish}}
	store := must(state.Open(t.TempDir()))(t)
	c.runtime = &fake.Runtime{Behave: c.behave}
	targets := &fake.Targets{}
	sched := must(scheduler.New(scheduler.Config{
		Store: store, Runtime: c.runtime, Targets: targets, Clock: clockwork.NewRealClock(),
		IDs: rand.NewChaCha8([32]byte{1}), Account: account, Region: region,
		MetadataBaseURL: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler),
	}))(t)
	c.runtime.Report, targets.Changed = sched.Report, sched.TargetChanged
	c.logs = must(logs.Open(logs.Config{Dir: t.TempDir()}))(t)
	secretStore := must(secrets.New(secrets.Config{State: store}))(t)
	parameterStore := must(parameters.New(parameters.Config{State: store}))(t)
	images := must(ecr.New(ecr.Config{State: store}))(t)
	images.Attach(indexes{}, "127.0.0.1:4510")
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- sched.Run(ctx) }()
	server := httptest.NewServer(wire.NewHandler(ecsapi.New(sched, region, account), c.logs.API(), secretStore.API(), parameterStore.API(), images.API()))
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := errors.Join(<-over, c.logs.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	cfg := awsx.Config{Region: region, Endpoint: server.URL, Local: true}
	c.url, c.sdk = server.URL, must(awsx.Load(t.Context(), cfg))(t)
	c.client = must(awsx.New(t.Context(), cfg))(t)
	c.deploy = must(rollout.New(rollout.Config{
		Environment: "local", Local: true, Platform: "linux/amd64",
		ECS: c.client, Images: c.client, Secrets: c.client, Contracts: c.client, Logs: c.client,
	}))(t)
	c.shell()
	return c
}

// behave decides what a task does by its image, a migration by its command.
func (c *cluster) behave(spec task.Spec) fake.Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range spec.Overrides.ContainerOverrides {
		if len(o.Command) > 0 {
			return c.acts[o.Command[0]]
		}
	}
	_, digest, ours := strings.Cut(*spec.Definition.ContainerDefinitions[0].Image, "@sha256:")
	if !ours { // the revision that the shell was made with has no image
		return fake.NoImage
	}
	if behaviour := c.acts[digest[:1]]; behaviour != fake.Run {
		w := c.logs.Writer("/slipway/local/catalog", "catalog/catalog/"+spec.ID)
		fmt.Fprintf(w, "release %s cannot start\n", digest[:1])
		if err := w.Close(); err != nil {
			c.t.Error(err)
		}
		return behaviour
	}
	return fake.Run
}

func (c *cluster) act(key string, b fake.Behaviour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acts[key] = b
}

// shell makes what the owner of a service's shell makes.
func (c *cluster) shell() {
	t, ctx := c.t, c.t.Context()
	api := ecs.NewFromConfig(c.sdk)
	secret := must(secretsmanager.NewFromConfig(c.sdk).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("slipway/local/catalog/database"), SecretString: aws.String("{}"), ClientRequestToken: aws.String(strings.Repeat("a", 32)),
	}))(t)
	must(awsecr.NewFromConfig(c.sdk).CreateRepository(ctx, &awsecr.CreateRepositoryInput{RepositoryName: aws.String("slipway/catalog")}))(t)
	doc := contract.Contract{
		Version: 1, Environment: "local", Service: "catalog", Cluster: "slipway-local", ECSService: "catalog", Family: "slipway-local-catalog",
		Repository: "slipway/catalog", Container: "catalog", LogGroup: "/slipway/local/catalog", DesiredCount: 2,
		Network: &contract.Network{Subnets: []string{"subnet-0"}, SecurityGroups: []string{"sg-0"}},
		TaskDefinition: json.RawMessage(`{"family":"slipway-local-catalog","cpu":"256","memory":"512","networkMode":"awsvpc","requiresCompatibilities":["FARGATE"],
			"containerDefinitions":[{"name":"catalog","image":"slipway:image","essential":true,"environment":[{"name":"LOG_LEVEL","value":"info"}],
			"secrets":[{"name":"DATABASE_SECRET","valueFrom":"` + *secret.ARN + `"}],"portMappings":[{"name":"http","containerPort":8080}],
			"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/slipway/local/catalog","awslogs-region":"us-east-1","awslogs-stream-prefix":"catalog"}}}]}`),
	}
	c.publish(doc)
	must(api.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("slipway-local")}))(t)
	bootstrap := must(api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(doc.Family), Cpu: aws.String("256"), Memory: aws.String("512"),
		NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("catalog"), Image: aws.String("slipway:image")}},
	}))(t)
	must(api.CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String("slipway-local"), ServiceName: aws.String("catalog"), DesiredCount: aws.Int32(0),
		TaskDefinition: bootstrap.TaskDefinition.TaskDefinitionArn, LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-0"}, SecurityGroups: []string{"sg-0"}}},
		DeploymentConfiguration: &types.DeploymentConfiguration{
			MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
	}))(t)
}

// publish writes the contract.
func (c *cluster) publish(doc contract.Contract) {
	data := must(doc.Encode())(c.t)
	must(ssm.NewFromConfig(c.sdk).PutParameter(c.t.Context(), &ssm.PutParameterInput{
		Name:  aws.String(contract.ParameterName("local", "catalog")),
		Value: aws.String(string(data)), Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true),
	}))(c.t)
}

// release is a release whose image's digest consists of one digit.
func release(digit string) rollout.Release {
	return rollout.Release{Version: "v" + digit, Image: "127.0.0.1:4510/slipway/catalog@sha256:" + strings.Repeat(digit, 64)}
}

// indexes is a registry that has every image for one platform.
type indexes struct{}

func (indexes) Manifests(string) ([]registry.ImageDetail, error) { return nil, nil }

func (indexes) Manifest(_, reference string) (registry.Manifest, error) {
	if strings.HasPrefix(reference, "sha256:0") {
		return registry.Manifest{}, registry.ErrNotFound
	}
	return registry.Manifest{
		Digest: reference, MediaType: "application/vnd.oci.image.index.v1+json",
		Content: []byte(`{"schemaVersion":2,"manifests":[{"platform":{"os":"linux","architecture":"amd64"}},{"platform":{"os":"unknown","architecture":"unknown"}}]}`),
	}, nil
}

func (indexes) PutManifest(string, string, string, []byte) (string, error) { return "", nil }
func (indexes) DeleteManifest(string, string) error                        { return nil }
func (indexes) DeleteRepository(string) error                              { return nil }

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
