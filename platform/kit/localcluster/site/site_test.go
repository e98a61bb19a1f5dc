package site_test

import (
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	var empty site.Config
	if err := empty.Complete("secrets"); err == nil || err.Error() != "secrets: a state store is needed" {
		t.Errorf("without a state: %v", err)
	}
	cfg := site.Config{State: &state.Store{}, Region: "eu-west-1"}
	if err := cfg.Complete("secrets"); err != nil || cfg.Clock == nil {
		t.Errorf("%+v, %v", cfg, err)
	}
	if got, want := cfg.ARN("ssm", "parameter/a"), "arn:aws:ssm:eu-west-1:000000000000:parameter/a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
