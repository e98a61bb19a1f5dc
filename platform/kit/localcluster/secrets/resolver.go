package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// Parameters is the parameter store, as a Resolver sees it.
type Parameters interface {
	// Value reads a parameter by name or ARN, decrypted.
	Value(ctx context.Context, name string) (string, error)
}

// Resolver finds the value behind the valueFrom of a container's secret.
type Resolver struct {
	secrets    *Store
	parameters Parameters
}

// NewResolver makes a Resolver over both stores.
func NewResolver(secrets *Store, parameters Parameters) *Resolver {
	return &Resolver{secrets: secrets, parameters: parameters}
}

// unable is how ECS begins the reason of a task that it stopped for want of a
// secret (Amazon ECS Developer Guide, stopped task error messages).
const unable = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "

// Resolve reads what valueFrom names (Amazon ECS API reference, Secret):
//
//	arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY[:STAGE[:VERSION]]]
//	arn:aws:ssm:REGION:ACCOUNT:parameter/NAME
//	NAME of a parameter; failing that, NAME[:JSON-KEY[:STAGE[:VERSION]]] of a secret
//
// ECS itself has no names of secrets, only ARNs. The error is the task's
// stopped reason, in ECS's words.
func (r *Resolver) Resolve(ctx context.Context, valueFrom string) (string, error) {
	service, isARN := serviceOf(valueFrom)
	switch {
	case service == "secretsmanager":
		return r.secret(ctx, valueFrom)
	case isARN && service != "ssm":
		return "", fmt.Errorf("%sthe ARN %s is neither a secret's nor a parameter's", unable, valueFrom)
	}
	value, err := r.parameters.Value(ctx, valueFrom)
	var missing smithy.APIError
	switch {
	case err == nil:
		return value, nil
	case !errors.As(err, &missing):
		return "", fmt.Errorf("%sunable to retrieve secrets from ssm: %w", unable, err)
	}
	if !isARN {
		if value, err := r.secret(ctx, valueFrom); !isNotFound(err) {
			return value, err
		}
	}
	return "", fmt.Errorf("%sunable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: %s", unable, valueFrom)
}

func serviceOf(valueFrom string) (service string, isARN bool) {
	rest, isARN := strings.CutPrefix(valueFrom, "arn:")
	if !isARN {
		return "", false
	}
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 2 {
		return "", true
	}
	return parts[1], true
}

func isNotFound(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}

func (r *Resolver) secret(ctx context.Context, valueFrom string) (string, error) {
	id, key, stage, version, err := split(valueFrom)
	if err != nil {
		return "", err
	}
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	if stage != "" {
		in.VersionStage = &stage
	}
	if version != "" {
		in.VersionId = &version
	}
	const calling = unable + "unable to retrieve secret from asm: service call has been retried 1 time(s): "
	out, err := r.secrets.GetSecretValue(ctx, in)
	if err != nil {
		return "", fmt.Errorf("%sfailed to fetch secret %s from secrets manager: %w", calling, id, err)
	}
	text := aws.ToString(out.SecretString)
	if out.SecretString == nil {
		text = string(out.SecretBinary)
	}
	if key == "" {
		return text, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return "", fmt.Errorf("%sretrieved secret from Secrets Manager is not a JSON object, so it has no key %s", calling, key)
	}
	raw, ok := object[key]
	if !ok {
		return "", fmt.Errorf("%sretrieved secret from Secrets Manager did not contain json key %s", calling, key)
	}
	var value string
	if json.Unmarshal(raw, &value) != nil {
		return string(raw), nil //nolint:nilerr // a number, a boolean, or more JSON
	}
	return value, nil
}

// split takes the three optional parts off the end of valueFrom.
func split(valueFrom string) (id, key, stage, version string, err error) {
	parts := strings.Split(valueFrom, ":")
	head := 1
	if parts[0] == "arn" {
		head = 7
	}
	if len(parts) < head || len(parts) > head+3 {
		return "", "", "", "", fmt.Errorf("%sunexpected ARN format with parameters when trying to retrieve ASM secret: %s", unable, valueFrom)
	}
	rest := slices.Concat(parts[head:], []string{"", "", ""})
	return strings.Join(parts[:head], ":"), rest[0], rest[1], rest[2], nil
}
