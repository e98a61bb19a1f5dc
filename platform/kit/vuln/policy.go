package vuln

import (
	"fmt"
	"go/version"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Policy is an environment's rules, for one service.
type Policy struct {
	manifest.Vulnerabilities

	Environment string
	Service     string
}

// future is how far a database's time may lie ahead of this machine's clock.
const future = 24 * time.Hour

// Judgement is what a policy makes of a report.
type Judgement struct {
	// Failing are findings that the policy refuses, Ignored those that it would
	// refuse and passes over; Expired tells of failing ones how long that held.
	Failing []Finding         `json:"failing,omitempty"`
	Ignored []Finding         `json:"ignored,omitempty"`
	Expired map[string]string `json:"expired,omitempty"` // finding to the last day
	Below   []Finding         `json:"below,omitempty"`   // reported, not refused
	// Age is the database's; Stale that it is older than the policy allows, or
	// from the future.
	Age   time.Duration `json:"age"`
	Stale bool          `json:"stale,omitempty"`
}

// Judge applies the policy to a report.
func (p Policy) Judge(r Report, now time.Time) Judgement {
	j := Judgement{Age: now.Sub(r.Modified)}
	j.Stale = j.Age > time.Duration(p.MaxAge) || j.Age < -future
	for _, f := range r.Findings {
		if p.FailOn == manifest.FailNever || rank(f.Level) > rank(p.FailOn) {
			j.Below = append(j.Below, f)
			continue
		}
		exempt, until := p.exempted(f, now)
		if exempt {
			j.Ignored = append(j.Ignored, f)
			continue
		}
		j.Failing = append(j.Failing, f)
		if until != "" {
			if j.Expired == nil {
				j.Expired = map[string]string{}
			}
			j.Expired[f.ID] = string(until)
		}
	}
	return j
}

// exempted tells whether a finding is passed over, or until when it was.
func (p Policy) exempted(f Finding, now time.Time) (exempt bool, expired manifest.Date) {
	for id, e := range p.Ignore {
		if !f.goes(id) || len(e.Services) > 0 && !slices.Contains(e.Services, p.Service) {
			continue
		}
		if now.Before(e.Until.End()) {
			return true, ""
		}
		expired = e.Until
	}
	return false, expired
}

// age says how old a database is: "database of 2026-11-20, 3 days old".
func age(r Report, now time.Time) string {
	text := "database of " + r.Modified.Format(time.DateOnly)
	if r.Copied {
		text = "copy of the " + text
	}
	days := int(now.Sub(r.Modified) / (24 * time.Hour))
	switch {
	case now.Before(r.Modified.Add(-future)):
		return text + ", which is in the future"
	case days < 1:
		return text + ", less than a day old"
	case days == 1:
		return text + ", 1 day old"
	}
	return fmt.Sprintf("%s, %d days old", text, days)
}

// mend returns the command that mends the findings that can be, or where to
// read about the first.
func mend(service string, findings []Finding) string {
	wanted := map[string]string{} // module to version
	for _, f := range findings {
		module := f.Module
		if module == stdlib {
			module = "toolchain"
		}
		if f.Fixed != "" && newer(f.Fixed, wanted[module]) {
			wanted[module] = f.Fixed
		}
	}
	if len(wanted) == 0 {
		return "open https://pkg.go.dev/vuln/" + findings[0].ID
	}
	var list []string
	for module, version := range wanted {
		list = append(list, module+"@"+version)
	}
	slices.Sort(list)
	return fmt.Sprintf("GOWORK=off go -C services/%s get %s", service, strings.Join(list, " "))
}

// newer tells whether version a, of a module or of Go, is newer than b.
func newer(a, b string) bool {
	if strings.HasPrefix(a, "go") {
		return version.Compare(a, b) > 0
	}
	return semver.Compare(a, b) > 0
}
