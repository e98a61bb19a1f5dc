// Package schema judges the statements of migrations: which of them break the
// release that runs while they do, or make it wait. It looks at the text alone;
// the deploy kit runs the release before on the new schema.
package schema

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

// A migration runs before the rollout, while the release before serves. So it
// may only add, and may not hold a lock for which requests would queue. One that
// does either on purpose says why in a line that begins with contractMark: that
// no release that needs the old form runs any more, say.
const contractMark = "-- contract:"

// ident is the name of a table or the like in a statement in capitals.
const ident = `(?:IF (?:NOT )?EXISTS )?(?:ONLY )?([A-Z_][A-Z0-9_.]*|"[^"]+")`

// danger is a statement that breaks the release before, or blocks it.
type danger struct {
	pattern *regexp.Regexp
	// unless, where set, is what makes it harmless.
	unless *regexp.Regexp
	what   string
	mend   string
}

var dangers = []danger{
	{
		regexp.MustCompile(`^DROP (?:TABLE|VIEW|SEQUENCE|TYPE|SCHEMA|FUNCTION) ` + ident), nil,
		"drops what the release before may use", "drop it in a later release, and say so: " + contractMark + " WHY",
	},
	{
		regexp.MustCompile(`^TRUNCATE (?:TABLE )?` + ident), nil,
		"deletes rows that the release before serves", "leave them, or say why: " + contractMark + " WHY",
	},
	{
		regexp.MustCompile(`^ALTER TABLE ` + ident + ` .*\bDROP\b`),
		regexp.MustCompile(`\bDROP (?:CONSTRAINT|DEFAULT|NOT NULL|IDENTITY|EXPRESSION)\b`),
		"drops a column that the release before reads and writes", "drop it in a later release, and say so: " + contractMark + " WHY",
	},
	{
		regexp.MustCompile(`^ALTER (?:TABLE|VIEW|INDEX|TYPE|SEQUENCE) ` + ident + `.*\bRENAME\b`), nil,
		"renames what the release before uses", "add the new one, write both, and take the old one away in a later release",
	},
	{
		regexp.MustCompile(`^ALTER TABLE ` + ident + ` .*\bALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b`), nil,
		"changes a column's type, which rewrites the table under a lock", "add a column of the new type and fill it in batches",
	},
	{
		regexp.MustCompile(`^ALTER TABLE ` + ident + ` .*\bALTER (?:COLUMN )?\S+ SET NOT NULL\b`), nil,
		"demands what the release before may not write, and reads the whole table under a lock",
		"ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, then VALIDATE CONSTRAINT in a later migration",
	},
	{
		regexp.MustCompile(`^ALTER TABLE ` + ident + ` .*\bADD (?:COLUMN )?(?:IF NOT EXISTS )?[^,]*\bNOT NULL\b`),
		regexp.MustCompile(`\bNOT NULL\b[^,]*\bDEFAULT\b|\bDEFAULT\b[^,]*\bNOT NULL\b|\bCHECK\b|\bGENERATED\b`),
		"adds a column that the release before does not write and that must not be empty", "give it a DEFAULT, or let it be NULL",
	},
	{
		regexp.MustCompile(`^ALTER TABLE ` + ident + ` .*\bADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b`),
		regexp.MustCompile(`\bNOT VALID\b|\bUSING INDEX\b`),
		"adds a constraint that reads the whole table under a lock, and that rows of the release before may break",
		"add it NOT VALID and VALIDATE CONSTRAINT in a later migration; a unique one USING INDEX",
	},
	{
		regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX .*?\bON ` + ident), regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX CONCURRENTLY\b`),
		"builds an index while nobody can write", "CREATE INDEX CONCURRENTLY, in a file that begins with -- +goose NO TRANSACTION",
	},
	{
		regexp.MustCompile(`^CREATE UNIQUE INDEX CONCURRENTLY .*?\bON ` + ident), nil,
		"makes values unique that the release before may repeat", "say why that cannot happen: " + contractMark + " WHY",
	},
}

// waits matches statements that take a lock for which requests queue while they
// wait for it themselves.
var waits = regexp.MustCompile(`^(?:ALTER TABLE|CREATE TRIGGER|DROP TRIGGER|(?:CREATE|DROP) (?:UNIQUE )?INDEX (?:CONCURRENTLY )?)`)

// Migrations reports statements in the services' migrations that break or block
// the release that runs meanwhile. A service's first migration has nobody to
// break, nor has what it does to a table that the same file makes.
func Migrations(t *check.Tree) []check.Finding {
	var found []check.Finding
	first := map[string]int{}
	var files []string
	for _, p := range t.Paths() {
		if !strings.HasPrefix(p, "services/") || path.Base(path.Dir(p)) != "migrations" || path.Ext(p) != ".sql" || strings.Contains(p, "/testdata/") {
			continue
		}
		files = append(files, p)
		if n, ok := first[path.Dir(p)]; !ok || number(p) < n {
			first[path.Dir(p)] = number(p)
		}
	}
	for _, p := range files {
		if number(p) != first[path.Dir(p)] && !strings.Contains(string(t.Files[p]), "\n"+contractMark+" ") {
			found = append(found, migration(p, string(t.Files[p]))...)
		}
	}
	return found
}

// number is a migration's place in the order, which its name begins with.
func number(file string) int {
	digits, _, _ := strings.Cut(path.Base(file), "_")
	n, _ := strconv.Atoi(digits) // goose refuses others when it runs
	return n
}

var (
	tableMade = regexp.MustCompile(`^CREATE (?:UNLOGGED )?TABLE ` + ident)
	indexed   = regexp.MustCompile(`^(?:CREATE (?:UNIQUE )?INDEX .*?\bON|ALTER TABLE|(?:CREATE|DROP) TRIGGER .*?\bON) ` + ident)
	timeout   = regexp.MustCompile(`^SET (?:LOCAL |SESSION )?LOCK_TIMEOUT\b`)
)

func migration(file, text string) []check.Finding {
	var found []check.Finding
	var made []string
	bounded, told := false, false
	for _, s := range statements(text) {
		upper := strings.ToUpper(s.text)
		if timeout.MatchString(upper) {
			bounded = true
		}
		if m := tableMade.FindStringSubmatch(upper); m != nil {
			made = append(made, m[1])
		}
		if m := indexed.FindStringSubmatch(upper); m != nil && slices.Contains(made, m[1]) {
			continue
		}
		for _, d := range dangers {
			m := d.pattern.FindStringSubmatch(upper)
			if m == nil || slices.Contains(made, m[1]) || d.unless != nil && d.unless.MatchString(upper) {
				continue
			}
			found = append(found, check.Finding{File: file, Line: s.line, What: fmt.Sprintf("%s: %s", summary(s.text), d.what), Mend: d.mend})
		}
		if waits.MatchString(upper) && !bounded && !told {
			told = true
			found = append(found, check.Finding{
				File: file, Line: s.line,
				What: summary(s.text) + ": waits for a lock as long as it takes, and every request behind it",
				Mend: "begin with SET lock_timeout = '5s'; a migration that fails is repeated, one that waits is an outage",
			})
		}
	}
	return found
}

// summary is the beginning of a statement.
func summary(text string) string {
	if len(text) > 60 {
		return text[:57] + "..."
	}
	return text
}

// statement is one statement of a script, its white space made single.
type statement struct {
	text string
	line int
}

// statements are those of the part of a goose script that goes up. What stands
// between StatementBegin and StatementEnd is one.
func statements(text string) []statement {
	var all []statement
	var words []string
	begun, whole, up := 0, false, true
	end := func() {
		if len(words) > 0 {
			all = append(all, statement{strings.Join(strings.Fields(strings.Join(words, " ")), " "), begun})
		}
		words = nil
	}
	for n, line := range strings.Split(text, "\n") {
		code, comment, _ := strings.Cut(line, "--")
		if code == "" {
			switch strings.TrimSpace(comment) {
			case "+goose Down":
				up = false
			case "+goose Up":
				up = true
			case "+goose StatementBegin":
				whole = true
			case "+goose StatementEnd":
				whole = false
				end()
			}
		}
		if !up {
			continue
		}
		for {
			before, after, ended := strings.Cut(code, ";")
			if whole {
				before, ended = code, false
			}
			if strings.TrimSpace(before) != "" {
				if len(words) == 0 {
					begun = n + 1
				}
				words = append(words, before)
			}
			if !ended {
				break
			}
			end()
			code = after
		}
	}
	end()
	return all
}
