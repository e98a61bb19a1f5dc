package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Kind sorts failures by what the user has to mend.
type Kind string

// The kinds of [Error].
const (
	KindCompile      Kind = "compile"      // the service's code
	KindModule       Kind = "module"       // go.mod, go.sum or the module proxy
	KindToolchain    Kind = "toolchain"    // the Go installation
	KindDisk         Kind = "disk"         // no space, or no permission to write
	KindUnreachable  Kind = "unreachable"  // nobody answers at the registry's address
	KindUnauthorized Kind = "unauthorized" // the registry does not accept the credentials
	KindRepository   Kind = "repository"   // the repository does not exist
	KindRegistry     Kind = "registry"     // the registry refused for another reason
	KindNotFound     Kind = "not found"    // the registry has no such image
)

// Error is a failure somebody can act upon: what failed, why, what to do next.
type Error struct {
	Kind     Kind
	What     string
	Why      string
	NextStep string
	Output   string // what the go command printed, unaltered; may be empty
	Err      error
}

// Error is "what: why", followed by the compiler's output if there is any.
func (e *Error) Error() string {
	text := e.What + ": " + e.Why
	if e.Output != "" {
		text += "\n" + e.Output
	}
	return text
}

// Next is the next command to type.
func (e *Error) Next() string { return e.NextStep }

func (e *Error) Unwrap() error { return e.Err }

// RegistryFailure explains what went wrong between us and a registry at host; a
// nil error stays nil, and one that is explained already stays as it is.
func RegistryFailure(what, host, repository string, err error) error {
	return registryFailure(what, host, repository, err)
}

// registryFailure explains what went wrong between us and the registry.
func registryFailure(what, host, repository string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	failure := &Error{Kind: KindRegistry, What: what, Why: err.Error(), Err: err, NextStep: "go tool mage doctor"}
	var refused *transport.Error
	var unreachable *net.OpError
	switch {
	case errors.As(err, &refused):
		failure.explain(refused, host, repository)
	case errors.As(err, &unreachable):
		failure.Kind = KindUnreachable
		failure.Why = fmt.Sprintf("nobody answers at %s (%s)", host, rootCause(unreachable))
		if isLoopback(host) {
			failure.NextStep = "go tool mage up"
		}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, os.ErrPermission):
		failure.Kind = KindDisk
	}
	return failure
}

func (e *Error) explain(refused *transport.Error, host, repository string) {
	says := refused.Error()
	if len(refused.Errors) > 0 {
		says = refused.Errors[0].Message
	}
	unknown := len(refused.Errors) > 0 && refused.Errors[0].Code == transport.NameUnknownErrorCode
	switch {
	case refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden:
		e.Kind = KindUnauthorized
		e.Why = fmt.Sprintf("%s refuses the credentials (HTTP %d)", host, refused.StatusCode)
		e.NextStep = "aws sts get-caller-identity"
		if isLoopback(host) {
			e.NextStep = "go tool mage up"
		}
	case unknown:
		e.Kind = KindRepository
		e.Why = fmt.Sprintf("%s has no repository %s", host, repository)
		e.NextStep = "aws ecr create-repository --repository-name " + repository
		if isLoopback(host) {
			e.NextStep = "go tool mage up"
		}
	default:
		e.Why = fmt.Sprintf("%s answers HTTP %d: %s", host, refused.StatusCode, says)
	}
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// rootCause is the last link of an error chain: "connection refused" rather
// than everything that led to it.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			break
		}
		err = next
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}
