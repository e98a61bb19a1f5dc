package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Provisioner writes the shells of services on one cluster.
type Provisioner struct {
	work *manifest.Workspace
	env  manifest.Environment
	// gateway is the services' base URL, endpoint that of the AWS protocols and
	// the issuer, postgres the database server's host:port.
	gateway, endpoint, postgres string

	admin   *admin.Client
	ecs     *ecs.Client
	watch   *cloudwatch.Client
	ecr     *ecr.Client
	logs    *cloudwatchlogs.Client
	secrets *secretsmanager.Client
	ssm     *ssm.Client
}

// New returns a provisioner for the services of work in the environment env, on
// the cluster that info tells of.
func New(work *manifest.Workspace, env manifest.Environment, info daemon.Info) *Provisioner {
	cfg := aws.Config{
		Region:       env.Region,
		BaseEndpoint: aws.String(info.Endpoint),
		// The cluster takes any key id; it listens on loopback alone.
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		// One pool of connections for all clients, however many are made.
		HTTPClient: &http.Client{},
	}
	return &Provisioner{
		work: work, env: env, gateway: info.Gateway, endpoint: info.Endpoint, postgres: info.Postgres, admin: admin.NewClient(info),
		ecs: ecs.NewFromConfig(cfg), watch: cloudwatch.NewFromConfig(cfg), ecr: ecr.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
		secrets: secretsmanager.NewFromConfig(cfg), ssm: ssm.NewFromConfig(cfg),
	}
}

// Registries makes the image repositories, which is all that a push needs.
func (p *Provisioner) Registries(ctx context.Context, services []string) error {
	for _, name := range services {
		s, err := p.shell(name)
		if err != nil {
			return err
		}
		_, err = p.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(s.repository())})
		if exists := new(ecrtypes.RepositoryAlreadyExistsException); err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("create repository %s: %w", s.repository(), err)
		}
	}
	return nil
}

// Apply brings the shells of the services to what their manifests say.
func (p *Provisioner) Apply(ctx context.Context, services []string) error {
	_, err := p.ecs.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("slipway-" + p.env.Name)})
	if err != nil {
		return fmt.Errorf("create cluster: %w", err)
	}
	if err := p.Registries(ctx, services); err != nil {
		return err
	}
	shells := make([]shell, 0, len(services))
	for _, name := range services {
		s, err := p.shell(name)
		if err != nil {
			return err
		}
		shells = append(shells, s)
	}
	for _, s := range shells {
		if err := p.putTargetGroups(ctx, s); err != nil {
			return err
		}
	}
	if err := p.route(ctx, shells); err != nil {
		return err
	}
	if err := p.connect(ctx, shells); err != nil {
		return err
	}
	if err := p.admit(ctx, shells); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(applied)
	for _, s := range shells {
		group.Go(func() error {
			if err := p.apply(ctx, s); err != nil {
				return fmt.Errorf("provision %s: %w", s.service.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (p *Provisioner) putTargetGroups(ctx context.Context, s shell) error {
	for _, e := range s.entries() {
		for _, tg := range e.groups {
			if err := p.admin.PutTargetGroup(ctx, tg); err != nil {
				return fmt.Errorf("put target group %s: %w", tg.Name, err)
			}
		}
	}
	return nil
}

// applied is how many shells are written at a time.
const applied = 4

func (p *Provisioner) shell(name string) (shell, error) {
	svc, err := p.env.Service(name)
	if err != nil {
		return shell{}, err
	}
	return shell{env: p.env, service: svc, gateway: p.gateway, endpoint: p.endpoint}, nil
}

func (p *Provisioner) apply(ctx context.Context, s shell) error {
	_, err := p.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(s.logGroup())})
	if exists := new(logstypes.ResourceAlreadyExistsException); err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create log group: %w", err)
	}
	secretARN, err := p.keepSecrets(ctx, s)
	if err != nil {
		return err
	}
	c, err := s.contract(secretARN)
	if err != nil {
		return err
	}
	if err := p.keepAlarms(ctx, s); err != nil {
		return err
	}
	if err := p.keepService(ctx, s, c); err != nil {
		return err
	}
	return p.keepContract(ctx, c)
}

// keepContract writes the contract parameter where it differs.
func (p *Provisioner) keepContract(ctx context.Context, c contract.Contract) error {
	raw, err := c.Encode()
	if err != nil {
		return err
	}
	name := contract.ParameterName(c.Environment, c.Service)
	got, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
	missing := new(ssmtypes.ParameterNotFound)
	switch {
	case err == nil && aws.ToString(got.Parameter.Value) == string(raw):
		return nil
	case err != nil && !errors.As(err, &missing):
		return fmt.Errorf("read contract: %w", err)
	}
	_, err = p.ssm.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(name), Value: aws.String(string(raw)), Type: ssmtypes.ParameterTypeString,
		Tier: ssmtypes.ParameterTierIntelligentTiering, Overwrite: aws.Bool(true),
	})
	if err != nil {
		return fmt.Errorf("write contract: %w", err)
	}
	return nil
}
