package vuln

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PredicateType names reports attached to images: an in-toto statement with a
// predicate "Vulnerabilities", version 0.1.
// Source: in-toto attestation framework, spec/predicates/vuln.md.
const PredicateType = "https://in-toto.io/attestation/vulns/v0.1"

// scannerURI is what scans: govulncheck, as this kit runs it.
const scannerURI = "pkg:golang/golang.org/x/vuln"

// severityMethod says what a severity's score is: a level.
const severityMethod = "govulncheck"

// Predicate is a report as it is attached to an image.
type Predicate struct {
	Invocation invocation `json:"invocation"`
	Scanner    scanner    `json:"scanner"`
	Metadata   metadata   `json:"metadata"`
}

type invocation struct {
	Parameters []string `json:"parameters"` // the platforms whose binaries were scanned
}

type scanner struct {
	URI    string   `json:"uri"`
	DB     database `json:"db"`
	Result []result `json:"result"`
}

type database struct {
	URI        string    `json:"uri"`
	LastUpdate time.Time `json:"lastUpdate"`
}

type result struct {
	ID          string       `json:"id"`
	Severity    []severity   `json:"severity"`
	Annotations []annotation `json:"annotations,omitempty"`
}

type severity struct {
	Method string `json:"method"`
	Score  string `json:"score"`
}

// annotation holds the finding in the kit's own words.
type annotation struct {
	Finding Finding `json:"dev.slipway.finding"`
}

type metadata struct {
	Started  time.Time `json:"scanStartedOn"`
	Finished time.Time `json:"scanFinishedOn"`
}

// Predicate returns the report in the form in which it is attached to its
// image. A database that is a folder or a file is named by its kind alone: its
// path says nothing to others.
func (r Report) Predicate() Predicate {
	p := Predicate{
		Invocation: invocation{Parameters: slices.Clone(r.Platforms)},
		Scanner:    scanner{URI: scannerURI, DB: database{URI: publicLocation(r.Database), LastUpdate: r.Modified}, Result: []result{}},
		Metadata:   metadata{Started: r.Started, Finished: r.Finished},
	}
	for _, f := range r.Findings {
		p.Scanner.Result = append(p.Scanner.Result, result{
			ID: f.ID, Severity: []severity{{severityMethod, string(f.Level)}}, Annotations: []annotation{{f}},
		})
	}
	return p
}

func publicLocation(location string) string {
	if strings.HasPrefix(location, "https://") || strings.HasPrefix(location, "http://") {
		return location
	}
	return "file:"
}

// ReportOf reads a predicate that was attached to the image of that digest. It
// takes the reports of this kit alone: another scanner's words for what was
// found say nothing of levels.
func ReportOf(digest string, predicate []byte) (Report, error) {
	var p Predicate
	if err := json.Unmarshal(predicate, &p); err != nil {
		return Report{}, fmt.Errorf("read vulnerability report of image %s: %w", digest, err)
	}
	r := Report{
		Image: digest, Platforms: p.Invocation.Parameters, Database: p.Scanner.DB.URI, Modified: p.Scanner.DB.LastUpdate,
		Started: p.Metadata.Started, Finished: p.Metadata.Finished, Findings: []Finding{}, Attached: true,
	}
	if p.Scanner.URI != scannerURI || r.Modified.IsZero() {
		return Report{}, fmt.Errorf("read vulnerability report of image %s: %w", digest, errors.New("it is not of this kit"))
	}
	for _, found := range p.Scanner.Result {
		if len(found.Annotations) != 1 || found.Annotations[0].Finding.ID != found.ID || rank(found.Annotations[0].Finding.Level) < 0 {
			return Report{}, fmt.Errorf("read vulnerability report of image %s: %s is not explained", digest, found.ID)
		}
		r.Findings = append(r.Findings, found.Annotations[0].Finding)
	}
	return r, nil
}
