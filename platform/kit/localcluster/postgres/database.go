package postgres

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
)

// nameForm keeps names to what PostgreSQL folds to itself, so that a name needs
// no quotes in psql.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Ensure makes a role and a database of that name, owned by the role, and sets
// the role's password. Only the role may connect to the database. It may be
// called again at any time.
func (s *Server) Ensure(ctx context.Context, name, password string) error {
	if !nameForm.MatchString(name) || name == superuser || name == "postgres" {
		return fmt.Errorf("make database %q: the name is reserved or not lower-case letters, digits, _ and -", name)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// Held until the session ends: "create database" knows no "if not exists",
	// and two at once who close the databases of all fail.
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtext('slipway'))"); err != nil {
		return fmt.Errorf("wait for another who makes database %s: %w", name, err)
	}
	if err := ensureRole(ctx, conn, name, password); err != nil {
		return fmt.Errorf("make role %s: %w", name, err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %s: %w", name, err)
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if !exists {
		if _, err := conn.Exec(ctx, "create database "+quoted+" owner "+quoted); err != nil {
			return fmt.Errorf("make database %s: %w", name, err)
		}
	}
	// The two databases that every server has are open to all roles at first.
	for _, closed := range []string{quoted, "postgres", "template1"} {
		if _, err := conn.Exec(ctx, "revoke all on database "+closed+" from public"); err != nil {
			return fmt.Errorf("close database %s to other roles: %w", closed, err)
		}
	}
	return nil
}

// ensureRole has the server itself quote the password.
func ensureRole(ctx context.Context, conn *pgx.Conn, name, password string) error {
	var statement string
	err := conn.QueryRow(ctx, `
		select format(
			case when exists (select from pg_roles where rolname = $1) then 'alter' else 'create' end
			|| ' role %I login password %L', $1::text, $2::text)`, name, password).Scan(&statement)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return err
}
