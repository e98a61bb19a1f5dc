package rollout

import (
	"fmt"
	"strings"
)

// String returns the plan for people: what runs, what will, what differs, and
// what happens next, step by step.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s: %s\n", p.Service, p.Environment, p.headline())
	if p.From.TaskDefinition == "" {
		b.WriteString("  now  nothing\n")
	} else {
		fmt.Fprintf(&b, "  now  %s, %d of %d tasks running\n", p.From.describe(), p.Running, p.Desired)
	}
	fmt.Fprintf(&b, "  then %s\n", p.To.describe())
	for _, d := range p.Differences {
		fmt.Fprintf(&b, "  %s\n", d)
	}
	for i, step := range p.Steps() {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "  note: %s\n", note)
	}
	return b.String()
}

func (p Plan) headline() string {
	switch {
	case p.Action == ActNone:
		return "nothing to do, release " + p.To.Release + " is rolled out"
	case p.Action == ActResume:
		return "watch the rollout of release " + p.To.Release + " that is under way"
	case p.Rollback:
		return "roll back to release " + p.To.Release + " (a deployment of an earlier release)"
	case p.Force && p.From.TaskDefinition == p.To.TaskDefinition:
		return "start release " + p.To.Release + " anew"
	default:
		return "deploy release " + p.To.Release
	}
}

func (r Revision) describe() string {
	release := r.Release
	if release == "" {
		release = "no release"
	}
	name := r.Name
	if name == "" {
		name = "a new revision"
	}
	if r.Digest == "" {
		return fmt.Sprintf("%s (%s)", release, name)
	}
	return fmt.Sprintf("%s (%s, %s)", release, name, short(r.Digest))
}

// short returns as much of a digest as people compare.
func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}

// String returns the difference in one line: "+ env A = 1", "- env B (was 2)",
// "~ cpu 256 -> 512".
func (d Difference) String() string {
	switch {
	case d.From == "":
		return fmt.Sprintf("+ %s = %s", d.What, d.To)
	case d.To == "":
		return fmt.Sprintf("- %s (was %s)", d.What, d.From)
	default:
		return fmt.Sprintf("~ %s %s -> %s", d.What, d.From, d.To)
	}
}

// Steps returns what applying the plan does, in order.
func (p Plan) Steps() []string {
	switch p.Action {
	case ActNone:
		return nil
	case ActResume:
		return []string{"watch the deployment to its end"}
	case ActDeploy:
	}
	steps := []string{"verify the image, its platform, the secrets and the service"}
	if p.To.TaskDefinition == "" {
		steps = append(steps, "register a new revision of "+p.Contract.Family)
	}
	if len(p.Migration) > 0 {
		steps = append(steps, fmt.Sprintf("run `%s` as a task of the new revision; if it fails, nothing else happens", strings.Join(p.Migration, " ")))
	}
	update := "point service " + p.Contract.ECSService + " at it"
	if p.DesiredCount != nil {
		update += fmt.Sprintf(" and start %d tasks", *p.DesiredCount)
	}
	if p.Force {
		update += " and replace all tasks"
	}
	return append(steps, update, p.watchStep())
}

func (p Plan) watchStep() string {
	step := "watch the " + strings.ToLower(strings.ReplaceAll(p.Strategy, "_", "/")) + " deployment to its end"
	if p.Strategy == "" {
		step = "watch the deployment to its end"
	}
	switch p.Strategy {
	case "CANARY":
		step += fmt.Sprintf(", %g %% of the traffic for %s, then all", p.StepPercent, minutes(p.StepMinutes))
	case "LINEAR":
		step += fmt.Sprintf(", %g %% more of the traffic every %s", p.StepPercent, minutes(p.StepMinutes))
	}
	if p.BakeMinutes > 0 {
		step += fmt.Sprintf(", %s of bake time included", minutes(p.BakeMinutes))
	}
	if len(p.Alarms) > 0 {
		step += ", rolled back by " + strings.Join(p.Alarms, " or ")
	}
	return step + fmt.Sprintf(" (at most %s)", p.Timeout)
}

func minutes(n int) string {
	if n == 1 {
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", n)
}
