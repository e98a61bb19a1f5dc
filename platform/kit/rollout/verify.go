package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Verify checks everything that the plan needs before anything is changed. It
// returns all checks, and a *VerifyError that holds the failed ones.
func (d *Deployer) Verify(ctx context.Context, p Plan) ([]Check, error) {
	checks := []Check{d.checkService(ctx, p), d.checkImage(ctx, p)}
	for _, e := range d.cfg.Evidence {
		checks = append(checks, e.Examine(ctx, EvidenceQuery{
			Environment: p.Environment, Service: p.Service, Repository: p.Contract.Repository,
			Digest: p.To.Digest, Release: p.To.Release, Rollback: p.Rollback,
		})...)
	}
	checks = append(checks, d.checkSecrets(ctx, p)...)
	checks = append(checks, d.checkAlarms(ctx, p)...)
	if err := ctx.Err(); err != nil {
		return checks, err
	}
	var failed []Check
	for _, c := range checks {
		if !c.OK && !c.Skipped {
			failed = append(failed, c)
		}
	}
	if len(failed) > 0 {
		return checks, &VerifyError{Service: p.Service, Env: p.Environment, Failed: failed}
	}
	return checks, nil
}

func (d *Deployer) checkService(ctx context.Context, p Plan) Check {
	c := Check{Name: "service " + p.Contract.ECSService}
	s, err := d.cfg.ECS.Service(ctx, p.Contract.Cluster, p.Contract.ECSService)
	switch {
	case err != nil:
		c.Detail, c.Next = err.Error(), orNext(err, d.shell())
	case s.Status != "ACTIVE":
		c.Detail, c.Next = fmt.Sprintf("it is %s in cluster %s", s.Status, p.Contract.Cluster), d.shell()
	default:
		c.OK = true
	}
	return c
}

func (d *Deployer) checkImage(ctx context.Context, p Plan) Check {
	c := Check{Name: "image of release " + p.To.Release}
	build := "go tool mage build " + p.Service
	if p.To.Digest == "" {
		c.Detail, c.Next = fmt.Sprintf("%q is not given by digest", p.To.Image), build
		return c
	}
	have, err := d.cfg.Images.Platforms(ctx, p.Contract.Repository, p.To.Digest)
	if isNotFound(err) {
		c.Detail, c.Next = fmt.Sprintf("%s is not in repository %s", p.To.Digest, p.Contract.Repository), build
		return c
	}
	if err != nil {
		c.Detail, c.Next = err.Error(), orNext(err, build)
		return c
	}
	need, err := d.platformNeeded(ctx, p)
	if err != nil {
		c.Detail, c.Next = err.Error(), orNext(err, d.shell())
		return c
	}
	if !slices.Contains(have, need) {
		c.Detail = fmt.Sprintf("tasks need %s and the image has %s", need, strings.Join(have, ", "))
		c.Next = build + "   # with platforms including " + need
		return c
	}
	c.OK = true
	return c
}

func (d *Deployer) platformNeeded(ctx context.Context, p Plan) (string, error) {
	if d.cfg.Platform != "" {
		return d.cfg.Platform, nil
	}
	td, err := d.target(ctx, p)
	return td.Platform, err
}

// target returns the definition that the plan leads to.
func (d *Deployer) target(ctx context.Context, p Plan) (TaskDefinition, error) {
	if p.To.TaskDefinition != "" {
		return d.cfg.ECS.TaskDefinition(ctx, p.To.TaskDefinition)
	}
	return definitionOf(p.Definition)
}

func (d *Deployer) checkSecrets(ctx context.Context, p Plan) []Check {
	td, err := d.target(ctx, p)
	if err != nil {
		return []Check{{Name: "revision " + p.To.Name, Detail: err.Error(), Next: orNext(err, d.shell())}}
	}
	var checks []Check
	seen := map[string]bool{}
	for _, container := range td.Containers {
		for _, variable := range keysOf(container.Secrets, nil) {
			valueFrom := container.Secrets[variable]
			if seen[valueFrom] {
				continue
			}
			seen[valueFrom] = true
			c := Check{Name: "secret for " + variable, OK: true}
			if err := d.cfg.Secrets.Check(ctx, valueFrom); err != nil {
				c.OK, c.Detail, c.Next = false, err.Error(), orNext(err, d.secretCommand(valueFrom))
			}
			checks = append(checks, c)
		}
	}
	return checks
}

// secretCommand returns the command that shows what is the matter with a secret.
func (d *Deployer) secretCommand(valueFrom string) string {
	if d.cfg.Local {
		return "go tool mage up"
	}
	return "aws secretsmanager describe-secret --secret-id " + valueFrom
}

// checkAlarms makes sure that the alarms can do their work: ECS ignores all of a
// deployment's alarms when one of them is firing as it begins.
// Source: "How CloudWatch alarms detect Amazon ECS deployment failures".
func (d *Deployer) checkAlarms(ctx context.Context, p Plan) []Check {
	if len(p.Alarms) == 0 || d.cfg.Alarms == nil {
		return nil
	}
	list, err := d.cfg.Alarms.Alarms(ctx, p.Alarms)
	if err != nil {
		return []Check{{Name: "alarms", Detail: err.Error(), Next: orNext(err, d.shell())}}
	}
	found := map[string]Alarm{}
	for _, a := range list {
		found[a.Name] = a
	}
	var checks []Check
	for _, name := range p.Alarms {
		c := Check{Name: "alarm " + name}
		switch a, ok := found[name]; {
		case !ok:
			c.Detail, c.Next = "it does not exist", d.shell()
		case a.Firing && (p.Rollback || p.Insist):
			c.Skipped, c.Detail = true, "it is firing, which stops neither a rollback nor --force: "+a.Reason
		case a.Firing:
			c.Detail = "it is firing, and ECS would ignore every alarm of the rollout (--force rolls out all the same): " + a.Reason
			c.Next = d.alarmCommand(p.Service, name)
		default:
			c.OK = true
		}
		checks = append(checks, c)
	}
	return checks
}

// alarmCommand returns the command that shows why an alarm is firing.
func (d *Deployer) alarmCommand(service, alarm string) string {
	if d.cfg.Local {
		return d.command("logs", service)
	}
	return "aws cloudwatch describe-alarms --alarm-names " + alarm
}
