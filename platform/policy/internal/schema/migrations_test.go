package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

func TestMigrations(t *testing.T) {
	for name, c := range map[string]struct {
		up   string
		want []string
	}{
		"a column":            {"SET lock_timeout = '5s';\nALTER TABLE goods ADD COLUMN note text;", nil},
		"a filled column":     {"SET LOCAL lock_timeout = '1s';\nALTER TABLE goods ADD COLUMN n int NOT NULL DEFAULT 0;", nil},
		"a default first":     {"SET lock_timeout = '5s';\nALTER TABLE goods ADD n int DEFAULT 0 NOT NULL;", nil},
		"a table":             {"CREATE TABLE more (id int PRIMARY KEY);\nCREATE INDEX more_id ON more (id);\nALTER TABLE more ADD COLUMN n int NOT NULL;\nDROP TABLE more;", nil},
		"an index":            {"SET lock_timeout = '5s';\nCREATE INDEX CONCURRENTLY i ON goods (id);", nil},
		"a check":             {"SET lock_timeout = '5s';\nALTER TABLE goods ADD CONSTRAINT c CHECK (n > 0) NOT VALID;", nil},
		"rows":                {"INSERT INTO goods (id) VALUES (1); UPDATE goods SET n = 1 WHERE id = 1;", nil},
		"in a comment":        {"-- DROP TABLE goods;\nSELECT 1; -- DROP TABLE goods", nil},
		"with a reason":       {"-- contract: nobody has used it since release 12\nDROP TABLE goods;", nil},
		"in a function":       {"-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS void AS $$ BEGIN DROP TABLE goods; END $$ LANGUAGE plpgsql;\n-- +goose StatementEnd", nil},
		"a dropped table":     {"DROP TABLE IF EXISTS goods;", []string{":4: DROP TABLE IF EXISTS goods: drops what"}},
		"a default dropped":   {"SET lock_timeout = '5s';\nALTER TABLE goods ALTER n DROP DEFAULT;", nil},
		"dropped by its name": {"SET lock_timeout = '5s';\nALTER TABLE goods DROP n;", []string{"drops a column"}},
		"a dropped column":    {"SET lock_timeout = '5s';\nALTER TABLE goods\n  DROP COLUMN n;", []string{":5: ALTER TABLE goods DROP COLUMN n: drops a column"}},
		"a renamed column":    {"SET lock_timeout = '5s';\nalter table goods rename column n to m;", []string{"renames"}},
		"a renamed table":     {"SET lock_timeout = '5s';\nALTER TABLE goods RENAME TO wares;", []string{"renames"}},
		"another type":        {"SET lock_timeout = '5s';\nALTER TABLE goods ALTER COLUMN n TYPE bigint;", []string{"changes a column's type"}},
		"not null":            {"SET lock_timeout = '5s';\nALTER TABLE goods ALTER n SET NOT NULL;", []string{"demands"}},
		"an unfilled column":  {"SET lock_timeout = '5s';\nALTER TABLE goods ADD COLUMN n int NOT NULL;", []string{"must not be empty"}},
		"a valid check":       {"SET lock_timeout = '5s';\nALTER TABLE goods ADD CONSTRAINT c CHECK (n > 0);", []string{"adds a constraint"}},
		"a foreign key":       {"SET lock_timeout = '5s';\nALTER TABLE goods ADD FOREIGN KEY (n) REFERENCES m (n);", []string{"adds a constraint"}},
		"a blocking index":    {"SET lock_timeout = '5s';\nCREATE INDEX i ON goods (id);", []string{"while nobody can write"}},
		"a unique index":      {"SET lock_timeout = '5s';\nCREATE UNIQUE INDEX CONCURRENTLY i ON goods (id);", []string{"unique"}},
		"an unbounded lock":   {"ALTER TABLE goods ADD COLUMN note text;\nALTER TABLE goods ADD COLUMN more text;", []string{":4: ALTER TABLE goods ADD COLUMN note text: waits for a lock"}},
		"truncated":           {"TRUNCATE goods;", []string{"deletes rows"}},
		"two in a line":       {"DROP TABLE goods; DROP TABLE wares;", []string{"goods", "wares"}},
		"an unfinished index": {"SET lock_timeout = '5s';\nDROP INDEX CONCURRENTLY IF EXISTS i;\nCREATE INDEX CONCURRENTLY i ON goods (id);", nil},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := check.NewTree(map[string][]byte{
				"services/shop/internal/store/migrations/00001_goods.sql": []byte("-- +goose Up\nCREATE TABLE goods (id int);\nDROP TABLE IF EXISTS olden;\n"),
				"services/shop/internal/store/migrations/00002_more.sql":  []byte("-- +goose NO TRANSACTION\n\n-- +goose Up\n" + c.up + "\n\n-- +goose Down\nDROP TABLE goods;\n"),
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range Migrations(tree) {
				if f.Mend == "" {
					t.Errorf("no word on what to do about: %s", f)
				}
				line, _, _ := strings.Cut(f.String(), "\n")
				got = append(got, line)
			}
			if !slices.EqualFunc(got, c.want, strings.Contains) {
				t.Errorf("found:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}

func TestStatements(t *testing.T) {
	var got []string
	for _, s := range statements("-- +goose Up\nSELECT\n  1; SELECT 2;\n-- +goose StatementBegin\nSELECT 3;\nSELECT 4;\n-- +goose StatementEnd\nSELECT 5\n-- +goose Down\nSELECT 6;") {
		got = append(got, s.text)
	}
	if want := "SELECT 1|SELECT 2|SELECT 3; SELECT 4;|SELECT 5"; strings.Join(got, "|") != want {
		t.Errorf("statements = %q, want %s", got, want)
	}
}
