package scheduler

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

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
		def.TaskDefinitionArn = aws.String(t.arn(fmt.Sprintf("task-definition/%s:%d", family, row.Last)))
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
		if !strings.Contains(last(name), ":") {
			return errInvalid("The specified task definition has no revision: %s.", name)
		}
		row := t.definition(name)
		if row == nil {
			return errClient("Unable to describe task definition.")
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
	family, revision, numbered := strings.Cut(last(name), ":")
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
		return nil, errClient("TaskDefinition not found.")
	}
	if row.Definition.Status != types.TaskDefinitionStatusActive {
		return nil, errClient("TaskDefinition is inactive")
	}
	return row, nil
}
