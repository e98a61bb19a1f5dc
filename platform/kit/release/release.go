// Package release says what was built: which service, from which commit and
// files, under which digest, and when it was first pushed. A release is an
// image index whose labels and tags carry these facts, so the registry is the
// only place that has to be asked.
//
// A release's version is for people, its digest for machines: rollouts name
// digests alone. Provenance, bills of materials and signatures are separate
// artifacts that refer to the digest; nothing here has to change for them.
package release

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/image"
)

// The labels of a release. The first four are the OCI image specification's
// predefined annotation keys.
const (
	LabelTitle    = "org.opencontainers.image.title"
	LabelRevision = "org.opencontainers.image.revision"
	LabelVersion  = "org.opencontainers.image.version"
	LabelSource   = "org.opencontainers.image.source"
	LabelInputs   = "dev.slipway.inputs"
	LabelDirty    = "dev.slipway.dirty"
	LabelChanges  = "dev.slipway.changes"
)

// Release is a built image and what it was built from.
type Release struct {
	Source
	Service   string          `json:"service"`
	Version   string          `json:"version"`
	Digest    string          `json:"digest"`
	Reference string          `json:"reference,omitempty"` // REPOSITORY@DIGEST
	Platforms image.Platforms `json:"platforms"`
	// Created is when the registry first got the release. It is no label: it
	// would make the same source give another digest each time. It is zero for
	// an image that was not pushed, or was pushed by something else.
	Created time.Time `json:"created,omitzero"`
}

// Source is where a build's input came from.
type Source struct {
	Commit string `json:"commit,omitempty"` // full hash; empty without a git commit
	// Dirty tells that the inputs differ from the commit. Changes elsewhere in
	// the repository do not count.
	Dirty bool `json:"dirty,omitempty"`
	// Changes names the files that differ, the first ones of many.
	Changes string `json:"changes,omitempty"`
	Inputs  string `json:"inputs,omitempty"` // digest of the files that can go into the binary
	URL     string `json:"url,omitempty"`    // of the repository, without credentials
	// Note tells why there is no commit.
	Note string `json:"-"`
}

// shortCommit and shortInputs are how much of a hash people get to see.
const (
	shortCommit = 12
	shortInputs = 8
)

// Version is v0-COMMIT for a clean build, v0-COMMIT-dirty.INPUTS for one with
// changes, v0-src.INPUTS without a commit. It is a valid OCI tag.
func (s Source) Version() string {
	inputs := strings.TrimPrefix(s.Inputs, "sha256:")
	switch {
	case s.Commit == "":
		return "v0-src." + cut(inputs, shortCommit)
	case s.Dirty:
		return "v0-" + cut(s.Commit, shortCommit) + "-dirty." + cut(inputs, shortInputs)
	}
	return "v0-" + cut(s.Commit, shortCommit)
}

func cut(s string, n int) string { return s[:min(n, len(s))] }

// labels are what the image says of itself. No time is among them.
func (s Source) labels(service string) map[string]string {
	labels := map[string]string{
		LabelTitle:   service,
		LabelVersion: s.Version(),
		LabelInputs:  s.Inputs,
		LabelDirty:   strconv.FormatBool(s.Dirty),
	}
	if s.Commit != "" {
		labels[LabelRevision] = s.Commit
	}
	if s.Changes != "" {
		labels[LabelChanges] = s.Changes
	}
	if s.URL != "" {
		labels[LabelSource] = s.URL
	}
	return labels
}

// fromImage reads a release back from a pushed image. An image that was not
// built by the kit has no version; its digest and platforms are still true.
func fromImage(pushed image.Pushed) Release {
	r := FromLabels(pushed.Labels)
	r.Digest, r.Reference, r.Platforms = pushed.Digest, pushed.Reference, pushed.Platforms
	return r
}

// FromLabels reads back what an image's labels say of its release. Without
// labels the release has no service.
func FromLabels(l map[string]string) Release {
	return Release{
		Service: l[LabelTitle],
		Version: l[LabelVersion],
		Source: Source{
			Commit: l[LabelRevision],
			Dirty:  l[LabelDirty] == "true", Changes: l[LabelChanges],
			Inputs: l[LabelInputs],
			URL:    l[LabelSource],
		},
	}
}

// A built tag notes when a release was first pushed: the one fact that cannot
// be in the image. The name sorts by time, so that listing the tags lists the
// releases in order without reading a single manifest.
const (
	builtPrefix = "built-"
	builtTime   = "20060102T150405.000Z"
)

var builtTag = regexp.MustCompile(`^` + builtPrefix + `(\d{8}T\d{6}\.\d{3}Z)-(.+)$`)

func newBuiltTag(at time.Time, version string) string {
	return fmt.Sprintf("%s%s-%s", builtPrefix, at.UTC().Format(builtTime), version)
}

func parseBuiltTag(tag string) (at time.Time, version string, ok bool) {
	m := builtTag.FindStringSubmatch(tag)
	if m == nil {
		return time.Time{}, "", false
	}
	at, err := time.Parse(builtTime, m[1])
	return at, m[2], err == nil
}
