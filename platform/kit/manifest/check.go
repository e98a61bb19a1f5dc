package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/fargate"
)

const minute = Duration(time.Minute)

// reserved are the variables that the platform sets itself.
var reserved = map[string]string{
	"HTTP_PORT": "the platform sets it", "GRPC_PORT": "the platform sets it",
	"BIND_ADDRESS": "the platform sets it", "SERVICE_NAME": "it is the service's name",
	"SERVICE_VERSION": "it is the release", "ENVIRONMENT": "it is the environment's name",
	"DATABASE_SECRET": "it comes from database", "DATABASE_URL": "it comes from database",
	"DATABASE_SSLMODE": "it comes from database",
	"INTERNAL_PORT":    "the platform sets it",
	"AUTH_ISSUER":      fromAuth, "AUTH_AUDIENCE": fromAuth, "AUTH_JWKS_URL": fromAuth, "AUTH_JWKS": fromAuth, "AUTH_TOKEN_URL": fromAuth,
	"AUTH_CLIENT_ID": "it comes from calls", "AUTH_CLIENT_SECRET": "it comes from calls",
	"OTEL_EXPORTER_OTLP_ENDPOINT": "the platform sets it",
	"OTEL_TRACES_SAMPLER":         fromTracing, "OTEL_TRACES_SAMPLER_ARG": fromTracing,
}

const (
	fromAuth    = "it comes from the environment's auth"
	fromTracing = "it comes from the environment's tracing"
)

// addressSuffix ends the variables that tell a service where its callees are.
const addressSuffix = "_GRPC_ADDRESS"

// AddressVariable returns the environment variable that tells a caller where
// to reach a service: CATALOG_GRPC_ADDRESS.
func AddressVariable(callee string) string {
	return strings.ToUpper(strings.ReplaceAll(callee, "-", "_")) + addressSuffix
}

// SecretVariable returns the environment variable that a secret of a service
// arrives in: orders/webhook-key is WEBHOOK_KEY in service orders.
func SecretVariable(service, secret string) string {
	rest := strings.TrimPrefix(secret, service+"/")
	return strings.ToUpper(strings.NewReplacer("/", "_", "-", "_", ".", "_", "+", "_", "=", "_", "@", "_").Replace(rest))
}

// checkAll reports what is wrong with each service by itself, in each
// environment, and with all of them together.
func (l *loader) checkAll(environments []*loadedEnvironment) {
	for _, name := range names(l.services) {
		l.problems = append(l.problems, l.checkOne(l.services[name])...)
	}
	l.checkRoutes()
	l.checkGRPC()
	for _, e := range environments {
		for _, name := range names(e.env.Overrides) {
			if l.services[name] == nil {
				at := e.decoder.places["services."+name]
				e.decoder.report(at, fmt.Sprintf("there is no service %q", name), suggest(name, names(l.services)))
			}
		}
		l.checkExempted(e)
		e.env.services = map[string]Service{}
		for _, name := range names(l.services) {
			here := e.apply(l.services[name])
			e.env.services[name] = here.service
			for _, p := range l.checkOne(here) {
				if p.File == e.file { // the others are the manifest's own
					l.problems = append(l.problems, p)
				}
			}
		}
	}
}

// check collects the problems of one service.
type check struct {
	on       *loaded
	problems []Problem
}

// report says a problem at the place of the first of paths that was written,
// preferring the file of an environment over the manifest it overrides.
func (c *check) report(message, fix string, paths ...string) {
	var found *place
	for _, p := range paths {
		at, ok := c.on.places[p]
		if !ok {
			continue
		}
		if found == nil || (found.file != c.on.file && at.file == c.on.file) {
			found = &at
		}
	}
	if found == nil {
		found = &place{file: c.on.file, line: 1}
	}
	c.problems = append(c.problems, Problem{File: found.file, Line: found.line, Column: found.column, Message: message, Fix: fix})
}

func (l *loader) checkOne(on *loaded) []Problem {
	c := &check{on: on}
	s := on.service
	l.checkCalls(c, s)
	if sold := fargate.Memory(s.Size.CPU); sold == nil {
		c.report(fmt.Sprintf("Fargate does not sell %d CPU units", s.Size.CPU), "cpu must be "+fargate.List(fargate.CPUs()), "size.cpu")
	} else if !slices.Contains(sold, s.Size.Memory) {
		c.report(fmt.Sprintf("Fargate does not sell %d CPU units with %d MiB", s.Size.CPU, s.Size.Memory),
			fmt.Sprintf("with cpu %d the memory must be %s", s.Size.CPU, fargate.List(sold)), "size.memory", "size.cpu", "size")
	}
	if s.Scale.Min > s.Scale.Max {
		c.report(fmt.Sprintf("scale.min %d is greater than scale.max %d", s.Scale.Min, s.Scale.Max),
			"min must be at most max", "scale.min", "scale.max", "scale")
	}
	if s.Scale.RequestsPerTask > 0 && s.HTTP == nil && s.GRPC == nil {
		c.report("scale.requests_per_task counts requests of a load balancer", "add http or grpc, or remove it", "scale.requests_per_task")
	}
	if b := s.Deploy.Bake; b < 0 || b > 24*60*minute || b%minute != 0 {
		c.report(fmt.Sprintf("deploy.bake cannot be %s", b), "it must be whole minutes, from 0m to 24h", "deploy.bake")
	}
	if len(s.Deploy.Alarms) > 0 && s.SLO == nil {
		c.report("deploy.alarms are made from slo, which is missing", "add slo: {availability: 99.9, latency_p99: 300ms}", "deploy.alarms")
	}
	checkSLO(c, s)
	checkEnv(c, s)
	return c.problems
}

func checkSLO(c *check, s Service) {
	if s.SLO == nil {
		return
	}
	for _, alarm := range s.Deploy.Alarms {
		if alarm == AlarmErrors && s.SLO.Availability == 0 {
			c.report("deploy.alarms lists errors without slo.availability", "add it, such as availability: 99.9", "deploy.alarms")
		}
		if alarm == AlarmLatency && s.SLO.LatencyP99 == 0 {
			c.report("deploy.alarms lists latency without slo.latency_p99", "add it, such as latency_p99: 300ms", "deploy.alarms")
		}
	}
	if _, set := c.on.places["slo.latency_p99"]; !set {
		return
	}
	if l := time.Duration(s.SLO.LatencyP99); l < time.Millisecond || l > 5*time.Minute {
		c.report(fmt.Sprintf("slo.latency_p99 cannot be %s", s.SLO.LatencyP99), "it must be from 1ms to 5m", "slo.latency_p99")
	}
}

func (l *loader) checkCalls(c *check, s Service) {
	others := names(l.services)
	others = slices.DeleteFunc(others, func(n string) bool { return n == s.Name })
	for i, callee := range s.Calls {
		at := "calls[" + strconv.Itoa(i) + "]"
		switch target := l.services[callee]; {
		case callee == "":
		case callee == s.Name:
			c.report("a service cannot call itself", fmt.Sprintf("remove %q", callee), at)
		case target == nil:
			c.report(fmt.Sprintf("there is no service %q to call", callee), suggest(callee, others), at)
		case target.service.GRPC == nil:
			c.report(fmt.Sprintf("service %q has no gRPC interface to call", callee), "give it grpc in "+target.file, at)
		}
	}
}

func checkEnv(c *check, s Service) {
	fromSecret := map[string]string{}
	for i, secret := range s.Secrets {
		at := "secrets[" + strconv.Itoa(i) + "]"
		variable := SecretVariable(s.Name, secret)
		if other, taken := fromSecret[variable]; taken && secret != other {
			c.report(fmt.Sprintf("secrets %q and %q would both arrive in %s", other, secret, variable), "rename one", at)
		}
		if why, is := reservedVariable(variable); is && secret != "" {
			c.report(fmt.Sprintf("secret %q would arrive in %s, which is reserved", secret, variable), why+"; rename the secret", at)
		}
		fromSecret[variable] = secret
	}
	for _, name := range names(s.Env) {
		if why, is := reservedVariable(name); is {
			c.report(fmt.Sprintf("variable %s is reserved", name), why, "env."+name)
		}
		if secret, taken := fromSecret[name]; taken {
			c.report(fmt.Sprintf("variable %s is taken by secret %q", name, secret), "rename one", "env."+name)
		}
	}
}

func reservedVariable(name string) (why string, is bool) {
	if why, is := reserved[name]; is {
		return why, true
	}
	if strings.HasSuffix(name, addressSuffix) {
		return "names ending in " + addressSuffix + " come from calls", true
	}
	for _, prefix := range []string{"AWS_", "ECS_"} {
		if strings.HasPrefix(name, prefix) {
			return "names beginning with " + prefix + " are for the runtime", true
		}
	}
	return "", false
}

// checkGRPC reports gRPC services that two services claim.
func (l *loader) checkGRPC() {
	owner := map[string]*loaded{}
	for _, name := range names(l.services) {
		on := l.services[name]
		if on.service.GRPC == nil || on.service.GRPC.Service == "" {
			continue
		}
		if first := owner[on.service.GRPC.Service]; first != nil {
			at := on.places["grpc.service"]
			l.problems = append(l.problems, Problem{
				File: on.file, Line: at.line, Column: at.column,
				Message: fmt.Sprintf("gRPC service %q is claimed twice", on.service.GRPC.Service),
				Fix:     fmt.Sprintf("%s:%d has it already", first.file, first.places["grpc.service"].line),
			})
			continue
		}
		owner[on.service.GRPC.Service] = on
	}
}

// checkEnvironment reports what is wrong with an environment file by itself.
func checkEnvironment(e *loadedEnvironment) {
	d, env := e.decoder, e.env
	if env.Ports != nil && !env.IsLocal() {
		d.report(d.places["ports"], "ports are those of the embedded cluster", "only local has them; remove ports")
	}
	for i, zone := range env.Zones {
		if env.Region != "" && zone != "" && !strings.HasPrefix(zone, env.Region) {
			d.report(d.places["zones["+strconv.Itoa(i)+"]"], fmt.Sprintf("zone %q is not in region %q", zone, env.Region), "such as "+env.Region+"a")
		}
	}
	if !env.IsLocal() && len(env.Zones) < 2 {
		d.report(d.places["zones"], "fewer than two zones", "a load balancer needs two, such as ["+env.Region+"a, "+env.Region+"b]")
	}
	if env.IsLocal() && env.Ports != nil {
		checkPorts(d, *env.Ports)
	}
	checkAuth(d, env)
	checkSupply(d, env)
}

// checkAuth reports an issuer that is half described, or one for the embedded
// cluster, which has its own.
func checkAuth(d *decoder, env Environment) {
	given := map[string]bool{"issuer": env.Auth.Issuer != "", "jwks_url": env.Auth.JWKSURL != "", "token_url": env.Auth.TokenURL != ""}
	for _, key := range names(given) {
		if env.IsLocal() && given[key] {
			d.report(d.places["auth."+key], "auth."+key+" names an outside issuer", "the embedded cluster has its own; remove it")
		}
	}
	if !env.IsLocal() && given["issuer"] != given["jwks_url"] {
		d.report(d.places["auth"], "auth.issuer and auth.jwks_url go together", "give both, or neither where no token is accepted")
	}
	if !env.IsLocal() && given["token_url"] && !given["issuer"] {
		d.report(d.places["auth.token_url"], "auth.token_url stands without auth.issuer", "tokens of no issuer are accepted; add issuer and jwks_url")
	}
}

// taskPorts are the ports that the embedded cluster gives to tasks.
const taskPortsFrom, taskPortsTo = 20000, 29999

func checkPorts(d *decoder, p Ports) {
	taken := map[int]string{}
	for _, port := range []struct {
		name   string
		number int
	}{{"gateway", p.Gateway}, {"aws", p.AWS}, {"postgres", p.Postgres}, {"mesh", p.Mesh}} {
		if other, twice := taken[port.number]; twice && port.number != 0 {
			at, ok := d.places["ports."+port.name]
			if !ok {
				at = d.places["ports."+other]
			}
			d.report(at, fmt.Sprintf("ports.%s and ports.%s are both %d", other, port.name, port.number), "they must differ, or be 0 for a free port")
		}
		taken[port.number] = port.name
	}
	if p.Mesh >= taskPortsFrom && p.Mesh <= taskPortsTo {
		d.report(d.places["ports.mesh"], fmt.Sprintf("ports.mesh cannot be %d", p.Mesh),
			fmt.Sprintf("%d to %d are the tasks'; choose one such as 30000, or 0 for free ones", taskPortsFrom, taskPortsTo))
	}
}

// circles returns a warning for each circle of calls.
func (l *loader) circles() []Problem {
	var found []Problem
	reported := map[string]bool{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		if i := slices.Index(trail, name); i >= 0 {
			circle := trail[i:]
			key := slices.Clone(circle)
			slices.Sort(key)
			if !reported[strings.Join(key, " ")] {
				reported[strings.Join(key, " ")] = true
				first := l.services[circle[0]]
				found = append(found, Problem{
					File: first.file, Line: first.places["calls"].line,
					Message: "services call each other in a circle: " + strings.Join(append(slices.Clone(circle), name), " -> "),
					Fix:     "they cannot be rolled out in dependency order",
				})
			}
			return
		}
		if len(trail) > len(l.services) {
			return
		}
		for _, callee := range l.services[name].service.Calls {
			visit(callee, append(slices.Clone(trail), name))
		}
	}
	for _, name := range names(l.services) {
		visit(name, nil)
	}
	sortProblems(found)
	return found
}
