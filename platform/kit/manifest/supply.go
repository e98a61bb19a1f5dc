package manifest

import (
	"fmt"
	"time"
)

// SupplyChain says what a release has to prove before it may run in an
// environment: who signed it, what it was built from, what is known against it.
type SupplyChain struct {
	Key             string          `yaml:"key" pattern:"^(awskms://[^/ ]*/[^ ]+|[^: ]+)$" form:"a KMS key such as awskms:///alias/slipway-signing, or the path of a key file" doc:"Key that releases are signed with; local makes one of its own when absent."`
	Dirty           DirtyRule       `yaml:"dirty" enum:"refuse,allow" doc:"Whether a release with changes that are in no commit may run; when absent production refuses it and others allow it."`
	Vulnerabilities Vulnerabilities `yaml:"vulnerabilities" doc:"What is done about known vulnerabilities."`
}

// DirtyRule says what is done about releases of changes that are in no commit.
type DirtyRule string

// The rules for releases of changes that are in no commit.
const (
	DirtyRefuse DirtyRule = "refuse"
	DirtyAllow  DirtyRule = "allow"
)

// Production is the name of the environment that customers use, for which some
// defaults are stricter.
const Production = "production"

// Vulnerabilities says which known vulnerabilities keep a release from running.
type Vulnerabilities struct {
	FailOn   FailOn               `yaml:"fail_on" enum:"called,imported,required,never" doc:"What fails: vulnerable functions in the binary (called), packages of it (imported), modules of it (required), or nothing; called when absent."`
	Database string               `yaml:"database" pattern:"^(https?://[^ ]+|file:///[^ ]+|[^: ]+)$" form:"a URL such as https://vuln.go.dev, or a folder or zip file" doc:"Vulnerability database in the format of vuln.go.dev, which it is when absent; local takes the copy of it that vuln:fetch made."`
	MaxAge   Duration             `yaml:"max_age" doc:"Age of the database that fails the check, 1h to 8760h; 168h when absent. A local one is only warned of."`
	Ignore   map[string]Exemption `yaml:"ignore" key_pattern:"^(GO|CVE)-[0-9]{4}-[0-9]{4,}$" key_form:"an id such as GO-2026-1234 or CVE-2026-12345" doc:"Findings that are passed over, each for a reason and until a day."`
}

// FailOn is how much of a vulnerability a binary must have in it to fail.
type FailOn string

// What fails, from the least to the most; each includes those before it.
const (
	FailNever    FailOn = "never"
	FailCalled   FailOn = "called"   // a vulnerable function is in the binary
	FailImported FailOn = "imported" // a vulnerable package is in the binary
	FailRequired FailOn = "required" // a vulnerable version of a module is
)

// Exemption passes over one finding for a while.
type Exemption struct {
	Reason   string   `yaml:"reason" required:"true" pattern:"[^ ]{2,}.* .*[^ ]{2,}" form:"a sentence that says why it does no harm" doc:"Why the finding does no harm here."`
	Until    Date     `yaml:"until" required:"true" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" form:"a day such as 2026-12-31" doc:"Last day on which it is passed over; afterwards it fails."`
	Services []string `yaml:"services" doc:"Services that it is passed over for; all when absent."`
}

// Date is a day in UTC, written as 2026-12-31.
type Date string

// End returns the moment the day ends, UTC. A text that is no day ended long ago.
func (d Date) End() time.Time {
	day, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

// VulnDatabase is where the Go team publishes what it knows.
const VulnDatabase = "https://vuln.go.dev"

const (
	defaultMaxAge = Duration(7 * 24 * time.Hour)
	leastMaxAge   = Duration(time.Hour)
	mostMaxAge    = Duration(365 * 24 * time.Hour)
)

// supplyDefaults are what holds for an environment whose file does not say.
func supplyDefaults(environment string) SupplyChain {
	s := SupplyChain{
		Dirty:           DirtyAllow,
		Vulnerabilities: Vulnerabilities{FailOn: FailCalled, Database: VulnDatabase, MaxAge: defaultMaxAge},
	}
	switch environment {
	case Production:
		s.Dirty = DirtyRefuse
	case Local:
		s.Vulnerabilities.Database = "" // a deploy at home waits for no network
	}
	return s
}

// checkSupply reports what is wrong with an environment's supply chain rules.
func checkSupply(d *decoder, env Environment) {
	s := env.SupplyChain
	const path = "supply_chain"
	if !env.IsLocal() && s.Key == "" {
		if _, wrong := d.places[path+".key"]; !wrong { // a wrong one was reported
			at, ok := d.places[path]
			if !ok {
				at = place{line: 1}
			}
			d.report(at, "no key to sign releases with", "add supply_chain: {key: \"awskms:///alias/slipway-signing\"}; local alone makes its own")
		}
	}
	v := s.Vulnerabilities
	if v.MaxAge < leastMaxAge || v.MaxAge > mostMaxAge {
		d.report(d.places[path+".vulnerabilities.max_age"], path+".vulnerabilities.max_age cannot be "+v.MaxAge.String(), "it must be from 1h to 8760h")
	}
	for _, id := range names(v.Ignore) {
		at := path + ".vulnerabilities.ignore." + id
		if until := v.Ignore[id].Until; until != "" && until.End().IsZero() {
			d.report(d.places[at+".until"], fmt.Sprintf("%s.until cannot be %q", at, until), "there is no such day")
		}
	}
}

// checkExempted reports services that a finding is passed over for and that do
// not exist.
func (l *loader) checkExempted(e *loadedEnvironment) {
	ignore := e.env.SupplyChain.Vulnerabilities.Ignore
	for _, id := range names(ignore) {
		for i, name := range ignore[id].Services {
			if l.services[name] == nil {
				at := fmt.Sprintf("supply_chain.vulnerabilities.ignore.%s.services[%d]", id, i)
				e.decoder.report(e.decoder.places[at], fmt.Sprintf("there is no service %q", name), suggest(name, names(l.services)))
			}
		}
	}
}
