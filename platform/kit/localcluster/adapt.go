package localcluster

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

// targets is the gateway as the scheduler sees it.
type targets struct{ gateway *gateway.Gateway }

// Register adds a target to a group.
func (t targets) Register(group string, target scheduler.Target) error {
	return t.gateway.Register(group, gateway.Target(target))
}

// Deregister starts draining a target.
func (t targets) Deregister(group, id string) <-chan struct{} { return t.gateway.Deregister(group, id) }

// Health tells a target's state.
func (t targets) Health(group, id string) scheduler.TargetHealth {
	return scheduler.TargetHealth(t.gateway.Health(group, id))
}

// Share divides a listener rule's requests.
func (t targets) Share(rule string, percent map[string]float64) error {
	return t.gateway.Divide(rule, percent)
}

// gatewayBucket holds target groups and rules.
const gatewayBucket = "gateway"

// registryUser is the user name of every login to the registry, as in ECR.
const registryUser = "AWS"

// login logs the runtime in to the registry, afresh for each pull since tokens
// expire.
type login struct{ ecr *ecr.Service }

// Authorization returns user name and password.
func (l login) Authorization() (*authn.AuthConfig, error) {
	out, err := l.ecr.GetAuthorizationToken(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return nil, err
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return nil, errors.New("log in to the registry: the token has no password")
	}
	return &authn.AuthConfig{Username: user, Password: password}, nil
}
