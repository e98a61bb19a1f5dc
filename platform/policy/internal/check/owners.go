package check

import (
	"slices"
	"strings"
)

const codeOwners = ".github/CODEOWNERS"

// Owners wants a line in CODEOWNERS for every folder that holds a service's
// manifest, naming the manifest's team behind prefix; one for the service's API,
// naming that team and the platform team, since both sides agree on a contract;
// and no line for what is gone.
func Owners(t *Tree, prefix, platform string) []Finding {
	owners := map[string][]string{}
	for line := range strings.SplitSeq(string(t.Files[codeOwners]), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 0 && (strings.HasPrefix(fields[0], "/services/") || strings.HasPrefix(fields[0], "/proto/")) {
			owners[strings.Trim(fields[0], "/")] = fields[1:]
		}
	}
	services, found := Services(t)
	for _, s := range services {
		file, team := s.Dir+"/service.yaml", prefix+s.Team
		want := map[string][]string{s.Dir: {team}}
		if dir := s.Proto(); dir != "" {
			want["proto/"+dir] = []string{team, prefix + platform}
		}
		if s.Team == "" {
			found = append(found, Finding{File: file, What: "names no team", Mend: "add a line: team: NAME"})
			want = nil
		}
		for dir, names := range want {
			if !slices.Equal(owners[dir], names) {
				found = append(found, Finding{
					File: file,
					What: "belongs to team " + s.Team + ", and " + codeOwners + " does not say so of " + dir,
					Mend: "have there the line: /" + dir + "/ " + strings.Join(names, " "),
				})
			}
		}
		delete(owners, s.Dir)
	}
	for dir := range owners {
		switch {
		case strings.HasPrefix(dir, "services/"):
			found = append(found, Finding{File: codeOwners, What: "names " + dir + ", which holds no service.yaml", Mend: "delete the line"})
		case !t.exists(dir):
			found = append(found, Finding{File: codeOwners, What: "names " + dir + ", which does not exist", Mend: "delete the line"})
		}
	}
	return sorted(found)
}
