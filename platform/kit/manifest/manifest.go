// Package manifest reads what people write about services and environments:
// services/NAME/service.yaml and platform/environments/NAME.yaml. It decodes
// strictly, fills in defaults, checks every rule that AWS or the platform
// would enforce later, and reports all problems at once, each with its place.
// It does not know what is deployed.
package manifest

import (
	"fmt"
	"time"
)

// Service is one service as its manifest, or a manifest with an environment's
// overrides, describes it. The struct tags are the rules of the decoder and of
// the JSON Schema alike.
type Service struct {
	Name     string            `yaml:"name" required:"true" pattern:"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$" form:"a DNS label: lower-case letters, digits and dashes, beginning with a letter, at most 32 characters" doc:"Name of the service; equals its folder's name."`
	Team     string            `yaml:"team" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" form:"lower-case letters, digits and dashes" doc:"Team that owns the service."`
	HTTP     *HTTP             `yaml:"http" doc:"REST interface, served through the load balancer."`
	GRPC     *GRPC             `yaml:"grpc" doc:"gRPC interface, served through the load balancer and to other services."`
	Calls    []string          `yaml:"calls" doc:"Services that this one calls: gives it their addresses and opens the network to them."`
	Database *Database         `yaml:"database" doc:"The service's own database, role and secret."`
	Secrets  []string          `yaml:"secrets" pattern:"^[A-Za-z0-9_][A-Za-z0-9/_+=.@-]{0,255}$" form:"letters, digits and /_+=.@-, such as orders/webhook-key" doc:"Secrets, below slipway/ENVIRONMENT/, that the service gets as environment variables."`
	Size     Size              `yaml:"size" doc:"Size of one task."`
	Scale    Scale             `yaml:"scale" doc:"Number of tasks."`
	Deploy   Deploy            `yaml:"deploy" doc:"How a new release is rolled out."`
	SLO      *SLO              `yaml:"slo" doc:"Objectives from which alarms and dashboards are made."`
	Env      map[string]string `yaml:"env" key_pattern:"^[A-Z][A-Z0-9_]*$" key_form:"upper-case letters, digits and underscores, beginning with a letter" doc:"Environment variables."`

	// Dir is the service's folder relative to the root, with slashes.
	Dir string `yaml:"-"`
}

// HTTP is the REST interface of a service.
type HTTP struct {
	Routes []string `yaml:"routes" required:"true" min_items:"1" max_items:"5" pattern:"^/[A-Za-z0-9_.$/~\"'@:+&*?-]{0,127}$" form:"a path pattern: it begins with / and holds at most 128 letters, digits and _-.$/~\"'@:+&, with the wildcards * and ?" doc:"Path patterns that the load balancer sends here."`
}

// GRPC is the gRPC interface of a service.
type GRPC struct {
	Service string `yaml:"service" required:"true" pattern:"^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)*\\.[A-Z][A-Za-z0-9]*$" form:"a full gRPC service name such as slipway.orders.v1.OrderService" doc:"Full name of the gRPC service."`
}

// Database is a database of the service's own.
type Database struct {
	Engine Engine `yaml:"engine" required:"true" enum:"postgres" doc:"Database engine."`
}

// Engine is a database engine.
type Engine string

// Postgres is PostgreSQL.
const Postgres Engine = "postgres"

// Size is the Fargate size of one task; see [fargate.Memory].
type Size struct {
	CPU    int  `yaml:"cpu" min:"256" max:"16384" doc:"CPU units; 1024 are one vCPU."`
	Memory int  `yaml:"memory" min:"512" max:"122880" doc:"Memory in MiB; Fargate sells certain pairs only."`
	Arch   Arch `yaml:"arch" enum:"arm64,amd64" doc:"CPU architecture."`
}

// Arch is a CPU architecture as Go names it.
type Arch string

// The architectures that Fargate has.
const (
	ARM64 Arch = "arm64"
	AMD64 Arch = "amd64"
)

// Scale bounds the number of tasks and says what scaling aims at.
type Scale struct {
	Min             int `yaml:"min" min:"0" max:"5000" doc:"Least number of tasks."`
	Max             int `yaml:"max" min:"1" max:"5000" doc:"Greatest number of tasks."`
	CPU             int `yaml:"cpu" min:"1" max:"100" doc:"Average CPU use in percent to scale to; none when absent."`
	RequestsPerTask int `yaml:"requests_per_task" min:"1" max:"10000000" doc:"Requests per minute and task to scale to; none when absent."`
}

// Deploy says how a release is rolled out.
type Deploy struct {
	Strategy Strategy `yaml:"strategy" enum:"rolling,blue_green,canary,linear" doc:"How traffic moves to a new release."`
	Bake     Duration `yaml:"bake" doc:"How long old and new run side by side after the shift, in whole minutes up to 24h."`
	Alarms   []Alarm  `yaml:"alarms" enum:"errors,latency" doc:"Alarms that roll a release back."`
}

// Strategy is how traffic moves to a new release.
type Strategy string

// The deployment strategies.
const (
	Rolling   Strategy = "rolling"
	BlueGreen Strategy = "blue_green"
	Canary    Strategy = "canary"
	Linear    Strategy = "linear"
)

// Alarm is an alarm that watches a deployment.
type Alarm string

// The alarms made from a service's SLO.
const (
	AlarmErrors  Alarm = "errors"
	AlarmLatency Alarm = "latency"
)

// SLO holds the service level objectives.
type SLO struct {
	Availability float64  `yaml:"availability" min:"50" max:"99.999" doc:"Share of requests that succeed, in percent."`
	LatencyP99   Duration `yaml:"latency_p99" doc:"99th percentile of the response time, 1ms to 5m."`
}

// Duration is a span of time, written as Go writes it: 300ms, 5m, 1h30m.
type Duration time.Duration

// String returns the duration as Go writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the duration as Go writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write it as 300ms, 30s, 5m or 1h", text)
	}
	*d = Duration(parsed)
	return nil
}

// Environment is one place to run services in.
type Environment struct {
	Name        string              `yaml:"name" required:"true" pattern:"^[a-z]([a-z0-9-]{0,14}[a-z0-9])?$" form:"lower-case letters, digits and dashes, beginning with a letter, at most 16 characters" doc:"Name of the environment; equals its file's name."`
	Account     string              `yaml:"account" required:"true" pattern:"^[0-9]{12}$" form:"twelve digits in quotes" doc:"AWS account id."`
	Region      string              `yaml:"region" required:"true" pattern:"^[a-z]{2}(-[a-z]+)+-[0-9]$" form:"an AWS region such as eu-central-1" doc:"AWS region."`
	Zones       []string            `yaml:"zones" pattern:"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$" form:"an availability zone such as eu-central-1a" doc:"Availability zones to use; a load balancer needs two."`
	Domain      string              `yaml:"domain" pattern:"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$" form:"a DNS name such as staging.example.com" doc:"DNS name below which services answer."`
	Endpoint    string              `yaml:"endpoint" pattern:"^https?://[^/ ]+$" form:"a URL without a path, such as http://127.0.0.1:4510" doc:"AWS endpoint to use instead of AWS' own."`
	Ports       *Ports              `yaml:"ports" doc:"Ports of the embedded cluster, on 127.0.0.1; local only."`
	Auth        Auth                `yaml:"auth" doc:"Who issues the tokens that services accept; the embedded cluster has an issuer of its own."`
	Tracing     Tracing             `yaml:"tracing" doc:"How much is traced."`
	SupplyChain SupplyChain         `yaml:"supply_chain" doc:"What a release has to prove before it may run."`
	Platforms   []string            `yaml:"platforms" enum:"host,linux/arm64,linux/amd64" doc:"Platforms that images are built for; host is the machine at hand."`
	All         *Override           `yaml:"all" doc:"What differs here for every service."`
	Overrides   map[string]Override `yaml:"services" doc:"What differs here for one service, by its name; stronger than all."`

	services map[string]Service
}

// Local is the name of the environment of the embedded cluster.
const Local = "local"

// Ports are the listening ports of the embedded cluster; 0 takes a free one.
type Ports struct {
	Gateway  int `yaml:"gateway" min:"0" max:"65535" doc:"The services, HTTP and gRPC on one port."`
	AWS      int `yaml:"aws" min:"0" max:"65535" doc:"AWS endpoint and image registry."`
	Postgres int `yaml:"postgres" min:"0" max:"65535" doc:"PostgreSQL."`
	Mesh     int `yaml:"mesh" min:"0" max:"65000" doc:"First of the ports on which services reach each other; 0 takes free ones from 30000 on."`
}

// Auth says whose tokens the services of an environment accept. What is empty
// has no issuer: services refuse every call that asks for a scope.
type Auth struct {
	Issuer   string `yaml:"issuer" pattern:"^https://[^ ]+$" form:"an https URL" doc:"The iss claim of tokens, such as https://login.example.com/."`
	Audience string `yaml:"audience" pattern:"^[^ ]{1,200}$" form:"a text without spaces" doc:"The aud claim of tokens; slipway-ENVIRONMENT when absent."`
	JWKSURL  string `yaml:"jwks_url" pattern:"^https://[^ ]+$" form:"an https URL" doc:"Where the issuer's public keys are (RFC 7517)."`
	TokenURL string `yaml:"token_url" pattern:"^https://[^ ]+$" form:"an https URL" doc:"Where services that call others get their tokens (RFC 6749, client credentials)."`
}

// Tracing says how much is traced.
type Tracing struct {
	Ratio float64 `yaml:"ratio" min:"0" max:"1" doc:"Share of requests that are traced, 0 to 1; 0.05 when absent."`
}

// Override is what an environment may change of a service; what it does not
// set stays as the service's manifest has it. Its fields are filled in only as
// far as the file sets them: use [Environment.Service] for the whole.
type Override struct {
	Size   *Size             `yaml:"size" doc:"Size of one task."`
	Scale  *Scale            `yaml:"scale" doc:"Number of tasks."`
	Deploy *Deploy           `yaml:"deploy" doc:"How a new release is rolled out."`
	Env    map[string]string `yaml:"env" key_pattern:"^[A-Z][A-Z0-9_]*$" key_form:"upper-case letters, digits and underscores, beginning with a letter" doc:"Environment variables to add or change."`
}

// IsLocal reports whether the environment is that of the embedded cluster.
func (e Environment) IsLocal() bool { return e.Name == Local }

// Service returns the service with this environment's overrides applied.
func (e Environment) Service(name string) (Service, error) {
	s, ok := e.services[name]
	if !ok {
		return Service{}, unknownName("service", name, names(e.services), "go tool mage -l")
	}
	return s, nil
}

// Workspace is everything that the manifests and environment files say.
type Workspace struct {
	Root     string    // the folder that was read; empty for LoadFS
	Services []Service // sorted by name, without any environment's overrides
	// Warnings are problems that stop nothing, such as services that call
	// each other in a circle.
	Warnings []Problem

	environments map[string]Environment
}

// Service returns the service of that name without overrides.
func (w *Workspace) Service(name string) (Service, error) {
	for _, s := range w.Services {
		if s.Name == name {
			return s, nil
		}
	}
	return Service{}, unknownName("service", name, w.ServiceNames(), "go tool mage -l")
}

// ServiceNames returns the sorted names of all services.
func (w *Workspace) ServiceNames() []string {
	list := make([]string, len(w.Services))
	for i, s := range w.Services {
		list[i] = s.Name
	}
	return list
}

// Environment returns the environment of that name.
func (w *Workspace) Environment(name string) (Environment, error) {
	e, ok := w.environments[name]
	if !ok {
		return Environment{}, unknownName("environment", name, w.EnvironmentNames(), "ls platform/environments")
	}
	return e, nil
}

// EnvironmentNames returns the sorted names of all environments.
func (w *Workspace) EnvironmentNames() []string { return names(w.environments) }
