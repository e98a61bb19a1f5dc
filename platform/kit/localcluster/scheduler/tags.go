package scheduler

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// Tags returns the tags of a cluster, service, task or task definition by ARN.
func (s *Scheduler) Tags(arn string) ([]types.Tag, error) {
	var out []types.Tag
	var err error
	s.read(func(t *turn) {
		var tags *[]types.Tag
		if tags, _, err = t.tagged(arn); err == nil {
			out = slices.Clone(*tags)
		}
	})
	return out, err
}

// ChangeTags removes the named tags and adds the others to a resource.
func (s *Scheduler) ChangeTags(ctx context.Context, arn string, add []types.Tag, remove []string) error {
	return s.request(ctx, func(t *turn) error {
		tags, touch, err := t.tagged(arn)
		if err != nil {
			return err
		}
		for _, tag := range add {
			remove = append(remove, aws.ToString(tag.Key))
		}
		next := slices.Clone(*tags)
		next = slices.DeleteFunc(next, func(tag types.Tag) bool { return slices.Contains(remove, aws.ToString(tag.Key)) })
		*tags = append(next, add...)
		touch()
		return nil
	})
}

// tagged finds where a resource's tags are kept.
func (t *turn) tagged(arn string) (tags *[]types.Tag, touch func(), err error) {
	kind, parts, ok := resource(arn)
	if !ok {
		return nil, nil, errInvalid("Invalid resource ARN: %s.", arn)
	}
	key := strings.Join(parts, "/")
	switch kind {
	case "cluster":
		if row := t.ledger.Clusters.Get(key); row != nil {
			return &row.Cluster.Tags, func() { t.ledger.Clusters.Touch(key) }, nil
		}
		return nil, nil, errNoCluster()
	case "service":
		if row := t.ledger.Services.Get(key); row != nil {
			return &row.Service.Tags, func() { t.ledger.Services.Touch(key) }, nil
		}
		return nil, nil, errNoService()
	case "task":
		if row := t.ledger.Tasks.Get(key); row != nil {
			return &row.Task.Tags, func() { t.touchTask(row) }, nil
		}
	case "task-definition":
		if row := t.definition(key); row != nil {
			return &row.Tags, func() {
				t.ledger.Definitions.Touch(ledger.DefinitionKey(*row.Definition.Family, row.Definition.Revision))
			}, nil
		}
	}
	return nil, nil, errInvalid("The specified resource is not found: %s.", arn)
}
