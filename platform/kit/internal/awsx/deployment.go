package awsx

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// batch is how many deployments or revisions one call describes (ECS API).
const batch = 20

// Deployments implements [rollout.ECS].
func (c *Client) Deployments(ctx context.Context, cluster, service string, limit int) ([]rollout.Deployment, error) {
	what := fmt.Sprintf("list deployments of service %s in cluster %s", service, cluster)
	limit = limited(limit, 100)
	out, err := c.ecs.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(cluster), Service: aws.String(service), MaxResults: aws.Int32(100),
	})
	if err != nil {
		return nil, c.wrap(what, err)
	}
	briefs := out.ServiceDeployments
	slices.SortStableFunc(briefs, func(a, b types.ServiceDeploymentBrief) int { return when(b.CreatedAt).Compare(when(a.CreatedAt)) })
	if len(briefs) > limit {
		briefs = briefs[:limit]
	}
	arns := make([]string, len(briefs))
	for i, b := range briefs {
		arns[i] = str(b.ServiceDeploymentArn)
	}
	return c.describe(ctx, what, arns)
}

// Deployment implements [rollout.ECS].
func (c *Client) Deployment(ctx context.Context, arn string) (rollout.Deployment, error) {
	what := "describe deployment " + lastPart(arn)
	list, err := c.describe(ctx, what, []string{arn})
	if err != nil {
		return rollout.Deployment{}, err
	}
	if len(list) == 0 {
		return rollout.Deployment{}, notFound(what)
	}
	return list[0], nil
}

// describe returns the deployments of arns in their order, without those that
// ECS knows no longer.
func (c *Client) describe(ctx context.Context, what string, arns []string) ([]rollout.Deployment, error) {
	found := map[string]types.ServiceDeployment{}
	var revisions []string
	for part := range slices.Chunk(arns, batch) {
		out, err := c.ecs.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: part})
		if err != nil {
			return nil, c.wrap(what, err)
		}
		for _, d := range out.ServiceDeployments {
			found[str(d.ServiceDeploymentArn)] = d
			if d.TargetServiceRevision != nil {
				revisions = append(revisions, str(d.TargetServiceRevision.Arn))
			}
			if d.Rollback != nil && d.Rollback.ServiceRevisionArn != nil {
				revisions = append(revisions, *d.Rollback.ServiceRevisionArn)
			}
		}
	}
	definitions, err := c.definitionsOf(ctx, what, revisions)
	if err != nil {
		return nil, err
	}
	var list []rollout.Deployment
	for _, arn := range arns {
		if d, ok := found[arn]; ok {
			list = append(list, deploymentOf(d, definitions))
		}
	}
	return list, nil
}

// definitionsOf resolves service revisions to task definitions, each asked
// for once.
func (c *Client) definitionsOf(ctx context.Context, what string, revisions []string) (map[string]string, error) {
	known := map[string]string{}
	var unknown []string
	c.mu.Lock()
	for _, arn := range revisions {
		if definition, ok := c.revisions[arn]; ok {
			known[arn] = definition
		} else if !slices.Contains(unknown, arn) {
			unknown = append(unknown, arn)
		}
	}
	c.mu.Unlock()
	for part := range slices.Chunk(unknown, batch) {
		out, err := c.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: part})
		if err != nil {
			return nil, c.wrap(what, err)
		}
		for _, r := range out.ServiceRevisions {
			known[str(r.ServiceRevisionArn)] = str(r.TaskDefinition)
		}
	}
	c.mu.Lock()
	maps.Copy(c.revisions, known)
	c.mu.Unlock()
	return known, nil
}

func deploymentOf(in types.ServiceDeployment, definitions map[string]string) rollout.Deployment {
	arn := str(in.ServiceDeploymentArn)
	d := rollout.Deployment{
		ARN: arn, ID: lastPart(arn), State: string(in.Status), Reason: str(in.StatusReason), Stage: string(in.LifecycleStage),
		CreatedAt: when(in.CreatedAt), StartedAt: when(in.StartedAt), FinishedAt: when(in.FinishedAt),
	}
	if c := in.DeploymentConfiguration; c != nil {
		d.Strategy = string(c.Strategy)
	}
	if t := in.TargetServiceRevision; t != nil {
		d.TaskDefinition = definitions[str(t.Arn)]
		d.Weight = deref(t.RequestedProductionTrafficWeight)
		d.Requested, d.Running, d.Pending = count(t.RequestedTaskCount), count(t.RunningTaskCount), count(t.PendingTaskCount)
	}
	if b := in.DeploymentCircuitBreaker; b != nil {
		d.Breaker, d.Failures, d.Threshold = string(b.Status), count(b.FailureCount), count(b.Threshold)
	}
	if a := in.Alarms; a != nil {
		switch a.Status {
		case types.ServiceDeploymentRollbackMonitorsStatusTriggered:
			d.Alarms = a.TriggeredAlarmNames
		case types.ServiceDeploymentRollbackMonitorsStatusDisabled:
			d.Ignored = a.TriggeredAlarmNames
		default:
		}
	}
	if r := in.Rollback; r != nil {
		d.RollbackReason, d.PutBack = str(r.Reason), definitions[str(r.ServiceRevisionArn)]
	}
	if d.FinishedAt.IsZero() {
		d.FinishedAt = when(in.StoppedAt)
	}
	return d
}

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
