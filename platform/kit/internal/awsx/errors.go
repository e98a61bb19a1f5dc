package awsx

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Error is a call that failed: what was asked, why it failed, and the command
// to type next, where one is known.
type Error struct {
	What string
	Err  error
	Code string // AWS' error code; empty when no answer came
	Do   string
	why  string
}

// Error returns "what: why".
func (e *Error) Error() string {
	if e.why != "" {
		return e.What + ": " + e.why
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the SDK's error.
func (e *Error) Unwrap() error { return e.Err }

// Is reports that the error is rollout.ErrNotFound when AWS says so, and
// rollout.ErrUncertain when AWS says nothing, or that the fault is its own.
func (e *Error) Is(target error) bool {
	switch target {
	case rollout.ErrNotFound:
		return missing(e.Code, e.why)
	case rollout.ErrUncertain:
		var api smithy.APIError
		return !errors.As(e.Err, &api) || api.ErrorFault() == smithy.FaultServer || e.Code == "ServerException"
	default:
		return false
	}
}

// Next returns the command to type next, or "".
func (e *Error) Next() string { return e.Do }

// missing tells AWS' ways to say that a thing does not exist.
func missing(code, message string) bool {
	switch code {
	case "ServiceNotFoundException", "ClusterNotFoundException", "ResourceNotFoundException", "ParameterNotFound",
		"RepositoryNotFoundException", "ImageNotFoundException", "ServiceDeploymentNotFoundException":
		return true
	case "ClientException": // DescribeTaskDefinition has no code of its own
		return strings.Contains(message, "Unable to describe task definition")
	default:
		return false
	}
}

// wrap makes an Error of what the SDK returned; nil stays nil.
func (c *Client) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{What: what, Err: err}
	var api smithy.APIError
	var dial *net.OpError
	switch {
	case errors.As(err, &api):
		e.Code = api.ErrorCode()
		e.why = api.ErrorMessage()
		if e.why == "" {
			e.why = e.Code
		}
		if !strings.Contains(e.why, e.Code) {
			e.why = e.Code + ": " + e.why
		}
		e.Do = nextFor(e.Code)
	case errors.As(err, &dial) && c.cfg.Local:
		e.why = "the embedded cluster does not answer on " + c.cfg.Endpoint
		e.Do = "go tool mage up"
	case errors.As(err, &dial):
		e.why = dial.Error()
		e.Do = "aws sts get-caller-identity   # is AWS reachable from here?"
	case strings.Contains(err.Error(), "get identity") || strings.Contains(err.Error(), "refresh cached credentials"):
		e.why = "there are no usable AWS credentials"
		e.Do = "aws sso login   # or set AWS_PROFILE"
	}
	return e
}

func nextFor(code string) string {
	switch {
	case slices.Contains([]string{"ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"}, code):
		return "aws sso login   # then repeat the command"
	case strings.HasPrefix(code, "AccessDenied"):
		return "aws sts get-caller-identity   # is this the role that may deploy?"
	default:
		return ""
	}
}
