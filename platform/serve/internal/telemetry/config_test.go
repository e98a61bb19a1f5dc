package telemetry_test

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  telemetry.Config
		want string
	}{
		"fine":       {telemetry.Config{Endpoint: "http://127.0.0.1:4318", Sampler: "parentbased_traceidratio", SamplerArg: 1}, ""},
		"no scheme":  {telemetry.Config{Endpoint: "127.0.0.1:4318", Sampler: "always_on"}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL"},
		"sampler":    {telemetry.Config{Sampler: "xray"}, "OTEL_TRACES_SAMPLER: must be one of always_off, always_on, parentbased"},
		"ratio":      {telemetry.Config{Sampler: "traceidratio", SamplerArg: 5}, "OTEL_TRACES_SAMPLER_ARG: must be from 0 to 1, is 5"},
		"ratio, NaN": {telemetry.Config{Sampler: "traceidratio", SamplerArg: nan()}, "OTEL_TRACES_SAMPLER_ARG"},
	} {
		err := tc.cfg.Validate()
		if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func nan() float64 { zero := 0.0; return zero / zero }
