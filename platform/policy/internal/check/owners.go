package check

import (
	"regexp"
	"slices"
	"strings"
)

const codeOwners = ".github/CODEOWNERS"

var teamPattern = regexp.MustCompile(`(?m)^team:\s*(\S+)`)

// Owners wants a line in CODEOWNERS for every folder that holds a service's
// manifest, naming the manifest's team behind prefix, and no line for a service
// that is gone.
func Owners(t *Tree, prefix string) []Finding {
	owners := map[string][]string{}
	for line := range strings.SplitSeq(string(t.Files[codeOwners]), "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && strings.HasPrefix(fields[0], "/services/") {
			owners[strings.Trim(fields[0], "/")] = fields[1:]
		}
	}
	var found []Finding
	for _, p := range t.Paths() {
		dir, ok := strings.CutSuffix(p, "/service.yaml")
		if !ok || !strings.HasPrefix(p, "services/") || inTestdata(p) {
			continue
		}
		m := teamPattern.FindSubmatch(t.Files[p])
		switch {
		case m == nil:
			found = append(found, Finding{File: p, What: "names no team", Mend: "add a line: team: NAME"})
		case !slices.Equal(owners[dir], []string{prefix + string(m[1])}):
			found = append(found, Finding{
				File: p,
				What: "belongs to team " + string(m[1]) + ", and " + codeOwners + " does not say so",
				Mend: "have there the line: /" + dir + "/ " + prefix + string(m[1]),
			})
		}
		delete(owners, dir)
	}
	for dir := range owners {
		found = append(found, Finding{File: codeOwners, What: "names " + dir + ", which holds no service.yaml", Mend: "delete the line"})
	}
	return sorted(found)
}
