package awsx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Contract implements [rollout.Contracts].
func (c *Client) Contract(ctx context.Context, environment, service string) (contract.Contract, error) {
	name := contract.ParameterName(environment, service)
	out, err := c.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
	if err != nil {
		return contract.Contract{}, c.wrap("read the contract "+name, err)
	}
	if out.Parameter == nil {
		return contract.Contract{}, notFound("read the contract " + name)
	}
	parsed, err := contract.Decode([]byte(str(out.Parameter.Value)))
	if err != nil {
		return contract.Contract{}, fmt.Errorf("read the contract %s: %w", name, err)
	}
	return parsed, nil
}

// Check implements [rollout.Secrets]. It asks for no value: the one who
// deploys need not be able to read what the task's role reads.
func (c *Client) Check(ctx context.Context, valueFrom string) error {
	if isParameter(valueFrom) {
		name := valueFrom
		if _, after, ok := strings.Cut(valueFrom, ":parameter/"); ok {
			name = "/" + after
		}
		out, err := c.ssm.DescribeParameters(ctx, &ssm.DescribeParametersInput{
			ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{name}}},
		})
		if err != nil {
			return c.wrap("look for parameter "+name, err)
		}
		if len(out.Parameters) == 0 {
			return notFound("look for parameter " + name)
		}
		return nil
	}
	id := secretID(valueFrom)
	out, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
	if err != nil {
		return c.wrap("look for secret "+id, err)
	}
	if out.DeletedDate != nil {
		return fmt.Errorf("look for secret %s: it is scheduled for deletion", id)
	}
	for _, stages := range out.VersionIdsToStages {
		if slices.Contains(stages, "AWSCURRENT") {
			return nil
		}
	}
	return fmt.Errorf("look for secret %s: it has no value yet", id)
}

// isParameter tells a parameter from a secret as ECS does: by the ARN's
// service; what is no ARN names a parameter.
func isParameter(valueFrom string) bool {
	return !strings.HasPrefix(valueFrom, "arn:") || strings.Contains(valueFrom, ":ssm:")
}

// secretID cuts json key, version stage and version id off a secret's ARN,
// which has seven parts itself.
func secretID(valueFrom string) string {
	parts := strings.SplitN(valueFrom, ":", 8)
	if len(parts) < 8 {
		return valueFrom
	}
	return strings.Join(parts[:7], ":")
}

// Platforms implements [rollout.Images].
func (c *Client) Platforms(ctx context.Context, repository, digest string) ([]string, error) {
	what := fmt.Sprintf("look for image %s in repository %s", digest, repository)
	out, err := c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: aws.String(repository),
		ImageIds:       []ecrtypes.ImageIdentifier{{ImageDigest: aws.String(digest)}},
		AcceptedMediaTypes: []string{
			"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
			"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
		},
	})
	if err != nil {
		return nil, c.wrap(what, err)
	}
	if len(out.Images) == 0 {
		return nil, notFound(what)
	}
	platforms, err := platformsOf([]byte(str(out.Images[0].ImageManifest)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return platforms, nil
}

// platformsOf reads the platforms from an image index (OCI image-spec,
// image-index.md). A manifest by itself does not say its platform.
func platformsOf(manifest []byte) ([]string, error) {
	var index struct {
		Manifests []struct {
			Platform *struct{ OS, Architecture string } `json:"platform"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &index); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var platforms []string
	for _, m := range index.Manifests {
		if m.Platform != nil && m.Platform.OS != "" && m.Platform.OS != "unknown" {
			platforms = append(platforms, m.Platform.OS+"/"+m.Platform.Architecture)
		}
	}
	if len(platforms) == 0 {
		return nil, errors.New("it is not an image index with platforms, as the kit builds them")
	}
	return platforms, nil
}

// Tail implements [rollout.Logs].
func (c *Client) Tail(ctx context.Context, group, stream string, limit int) ([]rollout.LogEvent, error) {
	out, err := c.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(group), LogStreamName: aws.String(stream), StartFromHead: aws.Bool(false),
		Limit: aws.Int32(int32(limited(limit, 1000))), //nolint:gosec // at most 1000
	})
	if err := c.wrap("read log stream "+stream, err); errors.Is(err, rollout.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	events := make([]rollout.LogEvent, len(out.Events))
	for i, e := range out.Events {
		events[i] = rollout.LogEvent{Stream: stream, At: time.UnixMilli(deref(e.Timestamp)), Message: str(e.Message)}
	}
	return events, nil
}

// Filter implements [rollout.Logs].
func (c *Client) Filter(ctx context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
	in := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(q.Group), StartTime: aws.Int64(q.From.UnixMilli()),
		Limit: aws.Int32(int32(limited(q.Limit, 10000))), //nolint:gosec // at most 10000
	}
	in.LogStreamNamePrefix, in.FilterPattern, in.NextToken = optional(q.StreamPrefix), optional(q.Filter), optional(q.Token)
	out, err := c.logs.FilterLogEvents(ctx, in)
	if err != nil {
		return rollout.LogPage{}, c.wrap("read log group "+q.Group, err)
	}
	page := rollout.LogPage{Token: str(out.NextToken)}
	for _, e := range out.Events {
		page.Events = append(page.Events, rollout.LogEvent{ID: str(e.EventId), Stream: str(e.LogStreamName), At: time.UnixMilli(deref(e.Timestamp)), Message: str(e.Message)})
	}
	return page, nil
}
