package sandbox

import (
	"context"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/provision"
)

// Deploy sets how the service rolls out, as its manifest says it: "{strategy:
// canary, bake: 0m}". The service's shell is brought up to date as `up` does it;
// no task is replaced.
func (s *Sandbox) Deploy(ctx context.Context, how string) error {
	if err := s.Replace("services/"+Service+"/service.yaml", `(?m)^deploy: \{.*\}$`, "deploy: "+how); err != nil {
		return err
	}
	work, env, err := s.Workspace(ctx)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	return provision.New(work, env, info).Apply(ctx, work.ServiceNames())
}
