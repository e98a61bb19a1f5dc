// Package ledger holds the scheduler's records: the ECS types as the AWS SDK
// has them, with the few facts beside them that ECS keeps to itself. It is a
// write-ahead mirror of the state store: changes are made in memory, and
// Commit writes all of them in one transaction before anybody acts on them.
package ledger

import (
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// Ledger is every record of the cluster. It is not safe for concurrent use.
type Ledger struct {
	// Clusters by name; Definitions by DefinitionKey; Families by name.
	Clusters    Table[Cluster]
	Definitions Table[Definition]
	Families    Table[Family]
	// Services and Tasks by Key(cluster, name or id).
	Services Table[Service]
	Tasks    Table[Task]
	// Deployments by id (ecs-svc/...), Rollouts and Revisions by ARN.
	Deployments Table[Deployment]
	Rollouts    Table[Rollout]
	Revisions   Table[Revision]

	store *state.Store
}

// table is what the tables of different rows have in common.
type table interface {
	load(tx *state.Tx) error
	save(tx *state.Tx) error
	changed() bool
	clean()
}

// Open reads every record from the store.
func Open(store *state.Store) (*Ledger, error) {
	l := &Ledger{
		Clusters:    newTable[Cluster]("ecs.clusters"),
		Definitions: newTable[Definition]("ecs.definitions"),
		Families:    newTable[Family]("ecs.families"),
		Services:    newTable[Service]("ecs.services"),
		Tasks:       newTable[Task]("ecs.tasks"),
		Deployments: newTable[Deployment]("ecs.deployments"),
		Rollouts:    newTable[Rollout]("ecs.rollouts"),
		Revisions:   newTable[Revision]("ecs.revisions"),
		store:       store,
	}
	if err := l.Reload(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Ledger) tables() []table {
	return []table{
		&l.Clusters, &l.Definitions, &l.Families, &l.Services,
		&l.Tasks, &l.Deployments, &l.Rollouts, &l.Revisions,
	}
}

// Reload throws away what is not committed and reads the store again.
func (l *Ledger) Reload() error {
	err := l.store.View(func(tx *state.Tx) error {
		for _, t := range l.tables() {
			if err := t.load(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read cluster records: %w", err)
	}
	return nil
}

// Dirty reports whether something waits for Commit.
func (l *Ledger) Dirty() bool {
	for _, t := range l.tables() {
		if t.changed() {
			return true
		}
	}
	return false
}

// Commit writes every change in one transaction. After an error the changes
// are still pending; Reload drops them.
func (l *Ledger) Commit() error {
	if !l.Dirty() {
		return nil
	}
	err := l.store.Update(func(tx *state.Tx) error {
		for _, t := range l.tables() {
			if err := t.save(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write cluster records: %w", err)
	}
	for _, t := range l.tables() {
		t.clean()
	}
	return nil
}
