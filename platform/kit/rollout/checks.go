package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

func (d *Deployer) runner() check.Runner {
	return check.Runner{Limit: d.cfg.CheckTimeout, Next: d.shell()}
}

// checkService examines the service, and its traffic, which it tells of.
func (d *Deployer) checkService(ctx context.Context, p Plan) []Check {
	const exists = "exists"
	var s Service
	first := d.runner().Run(ctx, groupService, exists, func(ctx context.Context) check.Finding {
		read, err := d.cfg.ECS.Service(ctx, p.Contract.Cluster, p.Contract.ECSService)
		if err == nil && read.Status != "ACTIVE" {
			err = fmt.Errorf("%s is %s in cluster %s", p.Contract.ECSService, read.Status, p.Contract.Cluster)
		}
		if err == nil {
			s = read
		}
		return check.Finding{Err: err, Next: d.shell(), Detail: p.Contract.ECSService + " in cluster " + p.Contract.Cluster}
	})
	if first.Failed() {
		why := check.Because(groupService + " " + exists)
		return []Check{first, check.Skipped(groupService, "steady", why), check.Skipped(groupService, "scale", why), check.Skipped(groupTraffic, "target groups and rules", why)}
	}
	return append([]Check{first}, check.Together(
		func() []Check {
			return []Check{d.runner().Run(ctx, groupService, "steady", func(ctx context.Context) check.Finding { return d.steady(ctx, p, s) })}
		},
		func() []Check { return []Check{d.checkScale(p, s)} },
		func() []Check { return d.checkTraffic(ctx, p, s) },
	)...)
}

// steady tells whether all is quiet. What is not refuses nothing: a rollout may
// be what mends it.
func (d *Deployer) steady(ctx context.Context, p Plan, s Service) check.Finding {
	deployments, err := d.cfg.ECS.Deployments(ctx, p.Contract.Cluster, p.Contract.ECSService, 1)
	if err != nil {
		return check.Finding{Err: err, Next: d.command("status", "")}
	}
	switch tasks := fmt.Sprintf("%d of %d tasks running", s.Running, s.Desired); {
	case len(deployments) > 0 && !deployments[0].Ended():
		return check.Finding{Skip: deployments[0].ID + " is under way; a rollout would take its place", Next: d.command("watch", p.Service)}
	case s.Running != s.Desired || s.Pending > 0:
		return check.Finding{Skip: tasks + "; a rollout may be what mends it", Next: d.command("logs", p.Service)}
	default:
		return check.Finding{Detail: tasks}
	}
}

// checkTraffic examines what is before the service.
func (d *Deployer) checkTraffic(ctx context.Context, p Plan, s Service) []Check {
	return check.Traffic{
		Runner: d.runner(), Group: groupTraffic, Reader: d.cfg.Traffic, Balancers: s.Balancers, Running: s.Running,
		Strategy: s.Strategy, Watched: p.Timeout, Owner: d.shell(),
	}.Examine(ctx)
}

// checkScale compares the number of tasks with the manifest's limits.
func (d *Deployer) checkScale(p Plan, s Service) Check {
	c := Check{Group: groupService, Name: "scale"}
	if d.cfg.Scale == nil {
		c.Skipped, c.Detail = true, "its limits are not known here"
		return c
	}
	least, greatest, known := d.cfg.Scale(p.Service)
	if !known {
		c.Skipped, c.Detail = true, "its limits are not known here"
		return c
	}
	tasks := s.Desired
	if p.DesiredCount != nil {
		tasks = *p.DesiredCount
	}
	c.Detail = fmt.Sprintf("%d tasks are wanted, and the manifest has %d to %d", tasks, least, greatest)
	switch c.OK = tasks >= least && tasks <= greatest; {
	case c.OK:
	case p.Rollback || p.Insist:
		c.Skipped, c.Detail = true, c.Detail+", which stops neither a rollback nor --force"
	default:
		c.Detail, c.Next = c.Detail+" (--force rolls out all the same)", d.shell()
	}
	return c
}

// checkImage examines the image and what is promised of it.
func (d *Deployer) checkImage(ctx context.Context, p Plan) []Check {
	const exists = "exists"
	build := d.command("deploy", p.Service) + "   # builds and pushes it"
	var have []string
	first := d.runner().Run(ctx, groupImage, exists, func(ctx context.Context) check.Finding {
		if p.To.Digest == "" {
			return check.Finding{Err: fmt.Errorf("release %s: %q is not given by digest", p.To.Release, p.To.Image), Next: build}
		}
		platforms, err := d.cfg.Images.Platforms(ctx, p.Contract.Repository, p.To.Digest)
		if isNotFound(err) {
			err = fmt.Errorf("%s is not in repository %s", p.To.Digest, p.Contract.Repository)
		}
		if err == nil {
			have = platforms
		}
		return check.Finding{Err: err, Next: build, Detail: short(p.To.Digest) + " in " + p.Contract.Repository}
	})
	if first.Failed() {
		why := check.Because(groupImage + " " + exists)
		list := []Check{first, check.Skipped(groupImage, "architecture", why)}
		if len(d.cfg.Evidence) > 0 {
			list = append(list, check.Skipped(groupEvidence, "all checks", why))
		}
		return list
	}
	parts := []func() []Check{func() []Check {
		return []Check{d.runner().Run(ctx, groupImage, "architecture", func(ctx context.Context) check.Finding { return d.architecture(ctx, p, have) })}
	}}
	for _, e := range d.cfg.Evidence {
		parts = append(parts, func() []Check { return d.evidence(ctx, p, e) })
	}
	return append([]Check{first}, check.Together(parts...)...)
}

func (d *Deployer) architecture(ctx context.Context, p Plan, have []string) check.Finding {
	need := d.cfg.Platform
	if need == "" {
		td, err := d.target(ctx, p)
		if err != nil {
			return check.Finding{Err: err, Next: d.shell()}
		}
		need = td.Platform
	}
	if !slices.Contains(have, need) {
		return check.Finding{
			Err:  fmt.Errorf("tasks need %s and the image has %s", need, strings.Join(have, ", ")),
			Next: "go tool mage build " + p.Service + "   # with platforms including " + need,
		}
	}
	return check.Finding{Detail: need}
}

// evidence examines one kind of promise.
func (d *Deployer) evidence(ctx context.Context, p Plan, e Evidence) []Check {
	list, ok := check.Within(ctx, evidenceTimeout, func(ctx context.Context) []Check {
		return e.Examine(ctx, EvidenceQuery{
			Environment: p.Environment, Service: p.Service, Repository: p.Contract.Repository,
			Digest: p.To.Digest, Release: p.To.Release, Rollback: p.Rollback,
		})
	})
	if !ok {
		return []Check{check.Late(ctx, groupEvidence, "evidence", evidenceTimeout, d.command("verify", p.Service))}
	}
	for i := range list {
		list[i].Group = groupEvidence
	}
	return list
}

// target returns the definition that the plan leads to.
func (d *Deployer) target(ctx context.Context, p Plan) (TaskDefinition, error) {
	if p.To.TaskDefinition != "" {
		return d.cfg.ECS.TaskDefinition(ctx, p.To.TaskDefinition)
	}
	return definitionOf(p.Definition)
}

// checkDefinition examines what the task definition needs: secrets and hosts.
func (d *Deployer) checkDefinition(ctx context.Context, p Plan) []Check {
	const readable = "task definition"
	var td TaskDefinition
	first := d.runner().Run(ctx, groupService, readable, func(ctx context.Context) check.Finding {
		read, err := d.target(ctx, p)
		if err == nil {
			td = read
		}
		detail := p.To.Name
		if detail == "" {
			detail = "a new revision of " + p.Contract.Family
		}
		return check.Finding{Err: err, Next: d.shell(), Detail: detail}
	})
	if first.Failed() {
		why := check.Because(readable)
		return []Check{first, check.Skipped(groupSecrets, "all checks", why), check.Skipped(groupNetwork, "endpoints", why)}
	}
	return append([]Check{first, d.checkEndpoints(p, td)}, d.checkSecrets(ctx, td)...)
}

func (d *Deployer) checkSecrets(ctx context.Context, td TaskDefinition) []Check {
	variables := map[string]string{} // by where they come from
	for _, container := range td.Containers {
		for _, variable := range keysOf(container.Secrets, nil) {
			if _, seen := variables[container.Secrets[variable]]; !seen {
				variables[container.Secrets[variable]] = variable
			}
		}
	}
	var parts []func() []Check
	for _, valueFrom := range slices.Sorted(maps.Keys(variables)) {
		parts = append(parts, func() []Check {
			return []Check{d.runner().Run(ctx, groupSecrets, "secret for "+variables[valueFrom], func(ctx context.Context) check.Finding {
				return check.Finding{Err: d.cfg.Secrets.Check(ctx, valueFrom), Next: d.secretCommand(valueFrom)}
			})}
		})
	}
	if len(parts) == 0 {
		return []Check{check.Skipped(groupSecrets, "secrets", "the tasks take none")}
	}
	return check.Together(parts...)
}

// secretCommand returns the command that shows what is the matter with a secret.
func (d *Deployer) secretCommand(valueFrom string) string {
	if d.cfg.Local {
		return "go tool mage up"
	}
	return "aws secretsmanager describe-secret --secret-id " + valueFrom
}

// checkEndpoints compares the AWS services that a task needs before and while
// it runs with the endpoints of its network.
// Source: "Amazon ECS interface VPC endpoints" (AWS Fargate considerations).
func (d *Deployer) checkEndpoints(p Plan, td TaskDefinition) Check {
	c := Check{Group: groupNetwork, Name: "endpoints"}
	if len(p.Contract.Endpoints) == 0 {
		c.Skipped, c.Detail = true, "the contract lists none"
		return c
	}
	var lacking []string
	for _, need := range endpointsOf(p, td) {
		if !slices.Contains(p.Contract.Endpoints, need) {
			lacking = append(lacking, need)
		}
	}
	if len(lacking) > 0 {
		c.Detail, c.Next = "tasks cannot reach "+strings.Join(lacking, ", ")+": the network has no endpoint", d.shell()
		return c
	}
	c.OK, c.Detail = true, strings.Join(endpointsOf(p, td), ", ")
	return c
}

// endpointsOf are the AWS services that a task of the plan talks to.
func endpointsOf(p Plan, td TaskDefinition) []string {
	needs := map[string]bool{"logs": p.Contract.LogGroup != ""}
	for _, container := range td.Containers {
		if strings.Contains(container.Image, ".dkr.ecr.") {
			needs["ecr.api"], needs["ecr.dkr"], needs["s3"] = true, true, true
		}
		for _, valueFrom := range container.Secrets {
			if strings.Contains(valueFrom, ":secretsmanager:") {
				needs["secretsmanager"] = true
			} else {
				needs["ssm"] = true
			}
		}
	}
	maps.DeleteFunc(needs, func(_ string, needed bool) bool { return !needed })
	return slices.Sorted(maps.Keys(needs))
}

// checkAlarms makes sure that the alarms can do their work: ECS ignores all of a
// deployment's alarms when one of them is firing as it begins.
// Source: "How CloudWatch alarms detect Amazon ECS deployment failures".
func (d *Deployer) checkAlarms(ctx context.Context, p Plan) []Check {
	switch {
	case len(p.Alarms) == 0:
		return []Check{check.Skipped(groupAlarms, "alarms", "the service has none that put a release back")}
	case d.cfg.Alarms == nil:
		return []Check{check.Skipped(groupAlarms, "alarms", "they cannot be read here")}
	}
	found := map[string]Alarm{}
	read := d.runner().Run(ctx, groupAlarms, "alarms", func(ctx context.Context) check.Finding {
		list, err := d.cfg.Alarms.Alarms(ctx, p.Alarms)
		if err != nil {
			return check.Finding{Err: err, Next: d.shell()}
		}
		byName := map[string]Alarm{}
		for _, a := range list {
			byName[a.Name] = a
		}
		found = byName
		return check.Finding{}
	})
	if read.Failed() {
		return []Check{read}
	}
	checks := make([]Check, 0, len(p.Alarms))
	for _, name := range p.Alarms {
		c := Check{Group: groupAlarms, Name: "alarm " + name}
		switch a, ok := found[name]; {
		case !ok:
			c.Detail, c.Next = "it does not exist", d.shell()
		case a.Firing && (p.Rollback || p.Insist):
			c.Skipped, c.Detail = true, "it is firing, which stops neither a rollback nor --force: "+a.Reason
		case a.Firing:
			c.Detail = "it is firing, and ECS would ignore every alarm of the rollout (--force rolls out all the same): " + a.Reason
			c.Next = d.alarmCommand(p.Service, name)
		default:
			c.OK, c.Detail = true, "quiet"
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

// checkMigration says what is not known of the schema.
func (d *Deployer) checkMigration(p Plan) []Check {
	if p.Contract.Migration == nil {
		return nil
	}
	c := check.Skipped(groupDatabase, "schema", "whether release "+p.From.Release+" works on the schema of "+p.To.Release+" is not known here")
	if p.Rollback {
		c.Detail = "migrations are not undone, and whether release " + p.To.Release + " works on the present schema is not known here"
	}
	switch p.From.Release {
	case "":
		c.Detail = "there is no release before it to be broken by its migrations"
		return []Check{c}
	case p.To.Release:
		return []Check{{Group: groupDatabase, Name: "schema", OK: true, Detail: "release " + p.To.Release + " runs on it"}}
	}
	c.Next = "go tool mage check:schema " + p.Service
	return []Check{c}
}
