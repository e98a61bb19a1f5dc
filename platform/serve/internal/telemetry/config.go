package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Config is the standard OpenTelemetry environment, as far as it steers us.
type Config struct {
	// Endpoint is the receiver's base URL; spans go to its path /v1/traces as
	// OTLP over HTTP with protobuf. Empty means that nothing is traced.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// Disabled switches tracing off whatever else is set.
	Disabled bool `env:"OTEL_SDK_DISABLED"`
	// Sampler decides which traces are recorded, SamplerArg is its ratio.
	Sampler    string  `env:"OTEL_TRACES_SAMPLER"     envDefault:"parentbased_traceidratio"`
	SamplerArg float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.05"`
	// MetadataURL is where ECS tells a container about its task.
	MetadataURL string `env:"ECS_CONTAINER_METADATA_URI_V4"`
}

// The samplers of the OpenTelemetry specification that we know.
const (
	samplerOn     = "always_on"
	samplerOff    = "always_off"
	samplerRatio  = "traceidratio"
	samplerParent = "parentbased_" // a prefix: the caller's decision goes first
)

// tracesPath is OTLP's, below the receiver's base URL.
const tracesPath = "/v1/traces"

func samplers() []string {
	var all []string
	for _, s := range []string{samplerOn, samplerOff, samplerRatio} {
		all = append(all, s, samplerParent+s)
	}
	slices.Sort(all)
	return all
}

// Validate reports everything that is wrong, one line each.
func (c Config) Validate() error {
	var problems []error
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			problems = append(problems, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://127.0.0.1:4318, is %q", c.Endpoint))
		}
	}
	if !slices.Contains(samplers(), c.Sampler) {
		problems = append(problems, fmt.Errorf("OTEL_TRACES_SAMPLER: must be one of %s, is %q", strings.Join(samplers(), ", "), c.Sampler))
	}
	if !(c.SamplerArg >= 0 && c.SamplerArg <= 1) { // so that NaN fails too
		problems = append(problems, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, is %v", c.SamplerArg))
	}
	return errors.Join(problems...)
}
