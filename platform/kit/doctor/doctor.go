// Package doctor looks at a machine and says what Slipway finds there, what is
// missing, and what to type about it.
package doctor

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/docker"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// State grades a finding.
type State string

// The states. Only Missing stops something that the README promises.
const (
	OK       State = "ok"
	Optional State = "optional" // not there, and not needed for the laptop
	Missing  State = "missing"
)

// Finding is one thing that was looked for.
type Finding struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

// Report is everything that was looked for.
type Report []Finding

// Healthy reports whether nothing needed is missing.
func (r Report) Healthy() bool {
	for _, f := range r {
		if f.State == Missing {
			return false
		}
	}
	return true
}

// String returns a line for each finding, and one for what to do about it.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r {
		fmt.Fprintf(&b, "%-9s %-18s %s\n", f.State, f.Name, f.Detail)
		if f.Next != "" {
			fmt.Fprintf(&b, "%-9s next: %s\n", "", f.Next)
		}
	}
	return b.String()
}

// Examine looks at this machine for the checkout at root.
func Examine(ctx context.Context, root string, work *manifest.Workspace) Report {
	r := Report{toolchain(ctx), program(ctx, "git", Missing, "install git", "--version")}
	r = append(r, folders(root)...)
	r = append(r, database(ctx))
	r = append(r, ports(ctx, root, work)...)
	return append(r,
		program(ctx, "terraform", Optional, "only for staging and production", "version"),
		container(ctx),
		program(ctx, "aws", Optional, "handy: pip install awscli", "--version"),
	)
}

func toolchain(ctx context.Context) Finding {
	out, err := exec.CommandContext(ctx, "go", "version").Output()
	if err != nil {
		return Finding{"go", Missing, err.Error(), "install Go: https://go.dev/dl"}
	}
	return Finding{"go", OK, fmt.Sprintf("%s, %d processors", strings.TrimSpace(string(out)), runtime.NumCPU()), ""}
}

// program looks for one on PATH and asks for its version.
func program(ctx context.Context, name string, without State, next string, args ...string) Finding {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		if without == Optional {
			return Finding{name, without, "not found; " + next, ""}
		}
		return Finding{name, without, "not found", next}
	}
	text := strings.TrimSpace(string(out))
	for line := range strings.Lines(text) { // there may be warnings around it
		if strings.HasPrefix(strings.ToLower(line), name) {
			return Finding{name, OK, strings.TrimSpace(line), ""}
		}
	}
	first, _, _ := strings.Cut(text, "\n")
	return Finding{name, OK, first, ""}
}

// container says whether tasks could run as containers.
func container(ctx context.Context) Finding {
	const name = "Docker engine"
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		return Finding{name, Optional, "only for up --runtime=docker; " + err.Error(), event.Next(err)}
	}
	defer func() { _ = engine.Close() }() // it was only asked
	return Finding{name, OK, "version " + engine.Version + ", for up --runtime=docker", ""}
}

func folders(root string) Report {
	var r Report
	look := func(name, variable string, dir string, err error) {
		if err == nil {
			err = place.Prepare(dir)
		}
		if err != nil {
			r = append(r, Finding{name, Missing, err.Error(), "choose another: " + variable + "=DIR"})
			return
		}
		r = append(r, Finding{name, OK, dir, ""})
	}
	state, err := place.State(root)
	look("state folder", place.StateVariable, state, err)
	cache, err := place.Cache()
	look("cache folder", place.CacheVariable, cache, err)
	return r
}

func database(ctx context.Context) Finding {
	const name = "PostgreSQL"
	found, err := postgres.Locate(ctx)
	if err != nil {
		return Finding{name, Missing, err.Error(), "unset " + postgres.BinVariable}
	}
	if cache, err := place.Cache(); err == nil {
		if fetched, ok := postgres.Fetched(ctx, cache); ok {
			found = append(found, fetched)
		}
	}
	if len(found) == 0 {
		return Finding{name, OK, "none installed; version " + postgres.FetchedVersion + " is fetched at the first start", ""}
	}
	return Finding{name, OK, found[0].String(), ""}
}

// ports says for each port of the embedded cluster whether it is free or whose
// it is.
func ports(ctx context.Context, root string, work *manifest.Workspace) Report {
	env, err := work.Environment(manifest.Local)
	if err != nil || env.Ports == nil {
		return Report{{"ports", Missing, "platform/environments/local.yaml names none", "git checkout platform/environments/local.yaml"}}
	}
	ours := false
	if state, err := place.State(root); err == nil {
		_, ours, _ = daemon.Find(ctx, state) // an unreadable record is no cluster
	}
	var r Report
	for _, p := range []struct {
		name string
		port int
	}{{"gateway", env.Ports.Gateway}, {"aws", env.Ports.AWS}, {"postgres", env.Ports.Postgres}} {
		name := "port " + strconv.Itoa(p.port)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))) //nolint:noctx // at once
		switch {
		case err == nil:
			_ = l.Close()
			r = append(r, Finding{name, OK, p.name + ": free", ""})
		case ours:
			r = append(r, Finding{name, OK, p.name + ": the running cluster's", ""})
		default:
			r = append(r, Finding{
				name, Missing, p.name + ": " + err.Error(),
				"end the program that listens there, or change ports." + p.name + " in platform/environments/local.yaml",
			})
		}
	}
	return r
}
