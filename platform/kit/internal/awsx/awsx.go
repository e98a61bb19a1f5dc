// Package awsx implements the kit's interfaces to AWS with aws-sdk-go-v2,
// against AWS itself or the embedded cluster. It alone of the deploy kit knows
// the SDK: what it returns are the consumers' types, and its errors say what
// failed, why, and what to type next.
package awsx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/xray"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Config says which AWS to talk to.
type Config struct {
	Region   string
	Endpoint string // base URL of all services; empty for AWS' own
	// Local says that Endpoint is the embedded cluster: fixed credentials, no
	// files or variables of the AWS CLI, short retries.
	Local bool
}

func (c Config) validate() error {
	if c.Region == "" {
		return errors.New("awsx: Region is missing")
	}
	if c.Local && c.Endpoint == "" {
		return errors.New("awsx: the embedded cluster needs an Endpoint")
	}
	return nil
}

// Client implements the interfaces of package rollout, and trace.Source.
type Client struct {
	cfg     Config
	ecs     *ecs.Client
	ecr     *ecr.Client
	logs    *cloudwatchlogs.Client
	secrets *secretsmanager.Client
	ssm     *ssm.Client
	xray    *xray.Client
	watch   *cloudwatch.Client
	elb     *elb.Client

	mu        sync.Mutex
	revisions map[string]string // service revision ARN to task definition ARN; they never change
}

var (
	_ rollout.ECS       = (*Client)(nil)
	_ rollout.Images    = (*Client)(nil)
	_ rollout.Secrets   = (*Client)(nil)
	_ rollout.Contracts = (*Client)(nil)
	_ rollout.Logs      = (*Client)(nil)
	_ rollout.Alarms    = (*Client)(nil)
)

// New returns a client. Credentials come from the SDK's default chain, but
// for the embedded cluster, which takes any.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	sdk, err := Load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Client{
		cfg: cfg, revisions: map[string]string{},
		ecs: ecs.NewFromConfig(sdk), ecr: ecr.NewFromConfig(sdk), logs: cloudwatchlogs.NewFromConfig(sdk),
		secrets: secretsmanager.NewFromConfig(sdk), ssm: ssm.NewFromConfig(sdk), xray: xray.NewFromConfig(sdk),
		watch: cloudwatch.NewFromConfig(sdk), elb: elb.NewFromConfig(sdk),
	}, nil
}

// Load returns the SDK configuration that New uses.
func Load(ctx context.Context, cfg Config) (aws.Config, error) {
	if cfg.Local {
		return local(cfg), nil
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(cfg.Region),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 5 })
		}),
	}
	if cfg.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(cfg.Endpoint))
	}
	sdk, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, &Error{What: "read the AWS configuration", Err: err, Do: "aws configure list"}
	}
	return sdk, nil
}

// local is the configuration for the embedded cluster. It reads nothing of
// the machine's AWS set-up, and its connections go round any proxy.
func local(cfg Config) aws.Config {
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
	return aws.Config{
		Region:       cfg.Region,
		BaseEndpoint: aws.String(cfg.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
		HTTPClient:   &http.Client{Transport: transport},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 3
				o.MaxBackoff = 200 * time.Millisecond
			})
		},
	}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// optional is nil for an empty string: AWS refuses empty members.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

func str(p *string) string { return aws.ToString(p) }

func when(t *time.Time) time.Time { return aws.ToTime(t) }

func count(n int32) int { return int(n) }

func limited(limit, most int) int {
	if limit <= 0 || limit > most {
		return most
	}
	return limit
}

func notFound(what string) error { return fmt.Errorf("%s: %w", what, rollout.ErrNotFound) }
