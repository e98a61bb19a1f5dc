package provision

import (
	"maps"
	"strconv"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// environment returns the variables of the task's container.
func (s shell) environment() map[string]string {
	vars := map[string]string{
		"SERVICE_NAME": s.service.Name,
		"ENVIRONMENT":  s.env.Name,
		"BIND_ADDRESS": "0.0.0.0",
		// The gateway takes a task out before the task is told to stop.
		"DRAIN_DELAY": "0s",
		// Streams end before it cuts them off.
		"STREAM_MAX_AGE": streamMaxAge.String(),
		"HTTP_PORT":      strconv.Itoa(httpPort),
		"GRPC_PORT":      strconv.Itoa(grpcPort),
		"INTERNAL_PORT":  strconv.Itoa(internalPort),
	}
	if s.service.Database != nil {
		vars["DATABASE_SSLMODE"] = "disable"
	}
	maps.Copy(vars, s.auth())
	maps.Copy(vars, s.tracing())
	for callee, address := range s.callees {
		vars[manifest.AddressVariable(callee)] = address
	}
	maps.Copy(vars, s.service.Env)
	return vars
}

// auth says whose tokens the service accepts, and where it gets its own.
func (s shell) auth() map[string]string {
	base := s.endpoint + issuer.Prefix
	vars := map[string]string{
		"AUTH_ISSUER": base, "AUTH_AUDIENCE": s.env.Auth.Audience, "AUTH_JWKS_URL": base + issuer.JWKSPath,
	}
	if len(s.service.Calls) > 0 {
		vars["AUTH_TOKEN_URL"], vars["AUTH_CLIENT_ID"] = base+issuer.TokenPath, s.service.Name
	}
	return vars
}

// tracing sends spans to the cluster, in the words of OpenTelemetry's
// environment variable specification.
func (s shell) tracing() map[string]string {
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": s.endpoint,
		"OTEL_TRACES_SAMPLER":         "parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG":     strconv.FormatFloat(s.env.Tracing.Ratio, 'f', -1, 64),
	}
}
