package manifest_test

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TestThisRepository loads the repository's own manifests and environments.
func TestThisRepository(t *testing.T) {
	t.Parallel()
	w, err := manifest.Load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.EnvironmentNames(), " "); got != "local production staging" {
		t.Errorf("environments %q", got)
	}
	for _, warning := range w.Warnings {
		t.Error(warning)
	}
	for _, name := range w.EnvironmentNames() {
		env, err := w.Environment(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range w.ServiceNames() {
			if _, err := env.Service(service); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
