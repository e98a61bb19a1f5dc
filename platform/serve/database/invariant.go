package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Invariant is a statement about a service's data that always holds.
type Invariant struct {
	Name  string // e.g. "stock is never negative"; unique within the service
	Doc   string // why it holds, or what to do if it does not
	Query string // one SELECT of the rows that break it; no row means it holds
}

// Finding is what the data says of an invariant.
type Finding struct {
	Invariant string            `json:"invariant"`
	Holds     bool              `json:"holds"`
	Doc       string            `json:"doc,omitempty"`
	Rows      []json.RawMessage `json:"rows,omitempty"` // that break it, as objects
	More      bool              `json:"more,omitempty"` // there are more rows than these
}

// findingRows is how many rows a finding holds at most.
const findingRows = 20

// CheckInvariants looks for rows that break the invariants, all of them in one
// snapshot and without changing anything. The queries run without the statement
// timeout; ctx bounds them.
func CheckInvariants(ctx context.Context, c Config, invariants []Invariant) (findings []Finding, err error) {
	c.StatementTimeout, c.IdleInTransaction = 0, 0 // none
	p, err := c.pool()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, p.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, snapshot, func(tx pgx.Tx) error {
		for _, i := range invariants {
			f, err := find(ctx, tx, i)
			if err != nil {
				return fmt.Errorf("check %q: %w", i.Name, err)
			}
			findings = append(findings, f)
		}
		return nil
	})
	return findings, err
}

// find runs one query; PostgreSQL itself writes the rows as JSON.
func find(ctx context.Context, tx pgx.Tx, i Invariant) (Finding, error) {
	query := strings.TrimRight(strings.TrimSpace(i.Query), ";")
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT row_to_json(broken)::text FROM (\n%s\n) AS broken LIMIT %d", query, findingRows+1))
	if err != nil {
		return Finding{}, err //nolint:wrapcheck // the caller names the invariant
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return Finding{}, err //nolint:wrapcheck // likewise
	}
	f := Finding{Invariant: i.Name, Doc: i.Doc, Holds: len(texts) == 0, More: len(texts) > findingRows}
	for _, text := range texts[:min(len(texts), findingRows)] {
		f.Rows = append(f.Rows, json.RawMessage(text))
	}
	return f, nil
}
