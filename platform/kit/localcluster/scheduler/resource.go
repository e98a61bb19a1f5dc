package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// defaultCluster is the cluster a request means that names none.
const defaultCluster = "default"

// CreateCluster adds a cluster, or returns the one there is.
func (s *Scheduler) CreateCluster(ctx context.Context, in *ecs.CreateClusterInput) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		name := aws.ToString(in.ClusterName)
		if name == "" {
			name = defaultCluster
		}
		row := t.ledger.Clusters.Get(name)
		if row == nil || *row.Cluster.Status != serviceActive {
			row = &ledger.Cluster{Cluster: types.Cluster{
				ClusterArn: aws.String(t.names.ARN("cluster/" + name)), ClusterName: aws.String(name),
				Status: aws.String(serviceActive), Tags: in.Tags, Settings: in.Settings, Configuration: in.Configuration,
				CapacityProviders: in.CapacityProviders, DefaultCapacityProviderStrategy: in.DefaultCapacityProviderStrategy,
			}}
			t.ledger.Clusters.Put(name, row)
		}
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// ChangeCluster applies fn to an ACTIVE cluster. fn replaces slices and
// pointers, it does not write through them.
func (s *Scheduler) ChangeCluster(ctx context.Context, name *string, fn func(*types.Cluster)) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		row, err := t.activeCluster(name)
		if err != nil {
			return err
		}
		fn(&row.Cluster)
		t.ledger.Clusters.Touch(*row.Cluster.ClusterName)
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// DeleteCluster makes a cluster INACTIVE that has no service and no task.
func (s *Scheduler) DeleteCluster(ctx context.Context, name *string) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		row, err := t.activeCluster(name)
		if err != nil {
			return err
		}
		view := t.clusterView(row)
		if view.ActiveServicesCount > 0 {
			return &types.ClusterContainsServicesException{
				Message: aws.String("The Cluster cannot be deleted while Services are active."),
			}
		}
		if view.RunningTasksCount+view.PendingTasksCount > 0 {
			return &types.ClusterContainsTasksException{
				Message: aws.String("The Cluster cannot be deleted while Tasks are active."),
			}
		}
		row.Cluster.Status = aws.String(serviceInactive)
		t.ledger.Clusters.Touch(*row.Cluster.ClusterName)
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// activeCluster finds an ACTIVE cluster by name or ARN.
func (t *turn) activeCluster(name *string) (*ledger.Cluster, error) {
	key := ident.Last(aws.ToString(name))
	if key == "" {
		key = defaultCluster
	}
	row := t.ledger.Clusters.Get(key)
	if row == nil || *row.Cluster.Status != serviceActive {
		return nil, ecserr.NoCluster()
	}
	return row, nil
}

// Clusters lists every cluster by name, INACTIVE ones too.
func (s *Scheduler) Clusters() []types.Cluster {
	var out []types.Cluster
	s.read(func(t *turn) {
		for _, row := range t.ledger.Clusters.All {
			out = append(out, t.clusterView(row))
		}
	})
	return out
}

// clusterView is a cluster with its counts.
func (t *turn) clusterView(row *ledger.Cluster) types.Cluster {
	out, name := row.Cluster, *row.Cluster.ClusterName
	out.Statistics, out.Settings = slices.Clone(out.Statistics), slices.Clone(out.Settings)
	for _, svc := range t.ledger.Services.All {
		if svc.Cluster == name && *svc.Service.Status == serviceActive {
			out.ActiveServicesCount++
		}
	}
	for _, task := range t.ledger.Tasks.All {
		switch {
		case task.Cluster != name || task.Over():
		case task.Status() == statusRunning:
			out.RunningTasksCount++
		case task.Live():
			out.PendingTasksCount++
		}
	}
	return out
}

// RegisterDefinition adds the next revision of a family. The definition has
// been validated.
func (s *Scheduler) RegisterDefinition(ctx context.Context, def types.TaskDefinition, tags []types.Tag) (types.TaskDefinition, error) {
	err := s.request(ctx, func(t *turn) error {
		family := *def.Family
		row := t.ledger.Families.Get(family)
		if row == nil {
			row = &ledger.Family{}
			t.ledger.Families.Put(family, row)
		}
		row.Last++
		t.ledger.Families.Touch(family)
		def.Revision = row.Last
		def.TaskDefinitionArn = aws.String(t.names.ARN(fmt.Sprintf("task-definition/%s:%d", family, row.Last)))
		def.Status = types.TaskDefinitionStatusActive
		def.RegisteredAt = aws.Time(t.now)
		def.RegisteredBy = aws.String(fmt.Sprintf("arn:aws:iam::%s:root", t.cfg.Account))
		t.ledger.Definitions.Put(ledger.DefinitionKey(family, row.Last), &ledger.Definition{Definition: def, Tags: tags})
		return nil
	})
	return def, err
}

// ChangeDefinition applies fn to the named revision. fn replaces pointers, it
// does not write through them, and changes nothing when it returns an error.
func (s *Scheduler) ChangeDefinition(ctx context.Context, name string, fn func(def *types.TaskDefinition) error) (types.TaskDefinition, error) {
	var out types.TaskDefinition
	err := s.request(ctx, func(t *turn) error {
		if !strings.Contains(ident.Last(name), ":") {
			return ecserr.Invalid("The specified task definition has no revision: %s.", name)
		}
		row := t.definition(name)
		if row == nil {
			return ecserr.Client("Unable to describe task definition.")
		}
		if err := fn(&row.Definition); err != nil {
			return err
		}
		t.ledger.Definitions.Touch(ledger.DefinitionKey(*row.Definition.Family, row.Definition.Revision))
		out = row.Definition
		return nil
	})
	return out, err
}

// Definition finds a revision by ARN, family:revision, or family (its latest
// ACTIVE revision), with its tags.
func (s *Scheduler) Definition(name string) (def types.TaskDefinition, tags []types.Tag, found bool) {
	s.read(func(t *turn) {
		if row := t.definition(name); row != nil {
			def, tags, found = row.Definition, row.Tags, true
		}
	})
	return def, tags, found
}

// Definitions lists every revision by family and number.
func (s *Scheduler) Definitions() []types.TaskDefinition {
	var out []types.TaskDefinition
	s.read(func(t *turn) {
		for _, row := range t.ledger.Definitions.All {
			out = append(out, row.Definition)
		}
	})
	return out
}

func (t *turn) definition(name string) *ledger.Definition {
	family, revision, numbered := strings.Cut(ident.Last(name), ":")
	if !numbered {
		return t.latest(family)
	}
	n, err := strconv.ParseInt(revision, 10, 32)
	if err != nil {
		return nil
	}
	return t.ledger.Definitions.Get(ledger.DefinitionKey(family, int32(n)))
}

// latest is the newest ACTIVE revision of a family.
func (t *turn) latest(family string) *ledger.Definition {
	row := t.ledger.Families.Get(family)
	if row == nil {
		return nil
	}
	for n := row.Last; n > 0; n-- {
		def := t.ledger.Definitions.Get(ledger.DefinitionKey(family, n))
		if def != nil && def.Definition.Status == types.TaskDefinitionStatusActive {
			return def
		}
	}
	return nil
}

func (t *turn) definitionByARN(arn string) *ledger.Definition { return t.definition(arn) }

// activeDefinition finds what a service or a task is to be run from.
func (t *turn) activeDefinition(name string) (*ledger.Definition, error) {
	row := t.definition(name)
	if row == nil {
		return nil, ecserr.Client("TaskDefinition not found.")
	}
	if row.Definition.Status != types.TaskDefinitionStatusActive {
		return nil, ecserr.Client("TaskDefinition is inactive")
	}
	return row, nil
}

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
		*tags = slices.Concat(next, add)
		touch()
		return nil
	})
}

// tagged finds where a resource's tags are kept.
func (t *turn) tagged(arn string) (tags *[]types.Tag, touch func(), err error) {
	kind, parts, ok := ident.Resource(arn)
	if !ok {
		return nil, nil, ecserr.Invalid("Invalid resource ARN: %s.", arn)
	}
	key := strings.Join(parts, "/")
	switch kind {
	case "cluster":
		if row := t.ledger.Clusters.Get(key); row != nil {
			return &row.Cluster.Tags, func() { t.ledger.Clusters.Touch(key) }, nil
		}
		return nil, nil, ecserr.NoCluster()
	case "service":
		if row := t.ledger.Services.Get(key); row != nil {
			return &row.Service.Tags, func() { t.ledger.Services.Touch(key) }, nil
		}
		return nil, nil, ecserr.NoService()
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
	return nil, nil, ecserr.Invalid("The specified resource is not found: %s.", arn)
}
