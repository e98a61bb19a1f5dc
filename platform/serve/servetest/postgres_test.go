package servetest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for range 2 {
		conn, err := pgx.Connect(t.Context(), servetest.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), "CREATE TABLE one_of_a_kind (id int)"); err != nil {
			t.Fatalf("the database is not fresh: %v", err)
		}
	}
}
