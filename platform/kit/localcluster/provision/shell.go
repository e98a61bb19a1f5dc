// Package provision makes the shell of every service on the embedded cluster:
// what Terraform makes in AWS. It writes repository, log group, secrets,
// database, target groups, listener rules, the ECS service with no task yet,
// and last the contract from which the deploy kit takes over. It is idempotent
// and never touches what the deploy kit owns, revisions and desired counts, nor
// what deployments do: the weights of listener rules.
package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Ports that a service listens on inside its task, and the names of the port
// mappings. The process runtime allots host ports and tells the service by the
// variables HTTP_PORT, GRPC_PORT and INTERNAL_PORT, as its runtime expects. It
// listens on all three, whichever of them a target group leads to.
const (
	httpName, grpcName, internalName = "http", "grpc", "internal"
	httpPort, grpcPort, internalPort = 8080, 9090, 9091
	taskUser                         = "65532:65532"
)

// Times of a laptop: targets are probed often and a deployment does not wait
// for callers that are gone.
const (
	probeInterval       = 2 * time.Second
	probeTimeout        = 2 * time.Second
	probeThreshold      = 2
	deregistrationDelay = 15 * time.Second
	streamMaxAge        = 10 * time.Second // below the deregistration delay
	startPeriod         = 10 * time.Second // until a task has to answer
	gracePeriodSeconds  = 3                // until one that answers has to be healthy
	stopTimeoutSeconds  = 20
)

// shell is everything about one service that does not depend on a release.
type shell struct {
	env     manifest.Environment
	service manifest.Service
	// gateway and endpoint are base URLs of the cluster's.
	gateway, endpoint string
	// callees are the addresses of the services that this one calls, by name.
	callees map[string]string
}

func (s shell) cluster() string    { return "slipway-" + s.env.Name }
func (s shell) family() string     { return s.cluster() + "-" + s.service.Name }
func (s shell) logGroup() string   { return "/slipway/" + s.env.Name + "/" + s.service.Name }
func (s shell) repository() string { return "slipway/" + s.service.Name }

// databaseSecret is the name of the secret with the service's credentials.
func (s shell) databaseSecret() string {
	return "slipway/" + s.env.Name + "/" + s.service.Name + "/database"
}

// clientSecret is the name of the secret that the service shows to the issuer.
func (s shell) clientSecret() string {
	return "slipway/" + s.env.Name + "/" + s.service.Name + "/oauth-client"
}

// secretName is the full name of a secret that the manifest lists.
func (s shell) secretName(listed string) string { return "slipway/" + s.env.Name + "/" + listed }

// role is the ARN of one of the service's roles.
func (s shell) role(name string) string {
	return fmt.Sprintf("arn:aws:iam::%s:role/%s-%s", s.env.Account, s.family(), name)
}

// groupName is the name of the target group of a port, or of the second one,
// which a deployment beside the present tasks uses.
func (s shell) groupName(port string, alternate bool) string {
	if alternate {
		port += "-2"
	}
	return s.service.Name + "-" + port
}

// targetGroupARN has the form of Elastic Load Balancing's, with an id that is
// the same at every run.
func (s shell) targetGroupARN(port string, alternate bool) string {
	name := s.groupName(port, alternate)
	return fmt.Sprintf("arn:aws:elasticloadbalancing:%s:%s:targetgroup/%s/%s",
		s.env.Region, s.env.Account, name, stableID(s.cluster()+"/"+name))
}

// entry is what one load balancer entry of the service needs: the two target
// groups, between which the production rule chooses.
type entry struct {
	port              string
	containerPort     int
	groups            [2]gateway.TargetGroup
	productionRuleARN string
	testRuleARN       string
}

// entries returns one entry for REST and one for gRPC, as an Application Load
// Balancer needs it.
func (s shell) entries() []entry {
	var out []entry
	if s.service.HTTP != nil {
		out = append(out, s.entry(httpName, gateway.HTTP, httpPort, "/healthz", "200"))
	}
	if s.service.GRPC != nil {
		out = append(out, s.entry(grpcName, gateway.GRPC, grpcPort, "/grpc.health.v1.Health/Check", "0"))
	}
	return out
}

func (s shell) entry(port string, protocol gateway.Protocol, containerPort int, path, matcher string) entry {
	e := entry{port: port, containerPort: containerPort, productionRuleARN: s.ruleARN(port), testRuleARN: s.testRuleARN(port)}
	for i, alternate := range []bool{false, true} {
		e.groups[i] = gateway.TargetGroup{
			ARN: s.targetGroupARN(port, alternate), Name: s.groupName(port, alternate), Protocol: protocol,
			HealthCheck: gateway.HealthCheck{
				Path: path, Matcher: matcher, Interval: probeInterval, Timeout: probeTimeout,
				HealthyThreshold: probeThreshold, UnhealthyThreshold: probeThreshold, StartPeriod: startPeriod,
			},
			DeregistrationDelay: deregistrationDelay,
		}
	}
	return e
}

// The JSON form of a task definition, as far as a template needs it; the names
// are those of ECS' RegisterTaskDefinition.
type (
	taskDefinition struct {
		Family                  string                `json:"family"`
		NetworkMode             string                `json:"networkMode"`
		RequiresCompatibilities []string              `json:"requiresCompatibilities"`
		CPU                     string                `json:"cpu"`
		Memory                  string                `json:"memory"`
		RuntimePlatform         runtimePlatform       `json:"runtimePlatform"`
		ExecutionRoleARN        string                `json:"executionRoleArn"`
		TaskRoleARN             string                `json:"taskRoleArn"`
		ContainerDefinitions    []containerDefinition `json:"containerDefinitions"`
	}
	runtimePlatform struct {
		CPUArchitecture       string `json:"cpuArchitecture"`
		OperatingSystemFamily string `json:"operatingSystemFamily"`
	}
	containerDefinition struct {
		Name                   string           `json:"name"`
		Image                  string           `json:"image"`
		Essential              bool             `json:"essential"`
		User                   string           `json:"user"`
		ReadonlyRootFilesystem bool             `json:"readonlyRootFilesystem"`
		StopTimeout            int              `json:"stopTimeout"`
		PortMappings           []portMapping    `json:"portMappings,omitempty"`
		Environment            []nameValue      `json:"environment"`
		Secrets                []secretVariant  `json:"secrets,omitempty"`
		LogConfiguration       logConfiguration `json:"logConfiguration"`
	}
	portMapping struct {
		Name          string `json:"name"`
		ContainerPort int    `json:"containerPort"`
		Protocol      string `json:"protocol"`
		AppProtocol   string `json:"appProtocol"`
	}
	nameValue struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	secretVariant struct {
		Name      string `json:"name"`
		ValueFrom string `json:"valueFrom"`
	}
	logConfiguration struct {
		LogDriver string            `json:"logDriver"`
		Options   map[string]string `json:"options"`
	}
)

// template is the task definition with the image left open. secretARN maps the
// name of a secret to its ARN.
func (s shell) template(secretARN map[string]string) taskDefinition {
	architecture := map[string]string{"amd64": "X86_64", "arm64": "ARM64"}[runtime.GOARCH]
	container := containerDefinition{
		Name: s.service.Name, Image: contract.Placeholder, Essential: true, User: taskUser,
		ReadonlyRootFilesystem: true, StopTimeout: stopTimeoutSeconds,
		PortMappings: []portMapping{
			{httpName, httpPort, "tcp", "http"}, {grpcName, grpcPort, "tcp", "grpc"}, {internalName, internalPort, "tcp", "http"},
		},
		LogConfiguration: logConfiguration{LogDriver: "awslogs", Options: map[string]string{
			"awslogs-group": s.logGroup(), "awslogs-region": s.env.Region, "awslogs-stream-prefix": s.service.Name,
		}},
	}
	vars := s.environment()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		container.Environment = append(container.Environment, nameValue{name, vars[name]})
	}
	if s.service.Database != nil {
		container.Secrets = append(container.Secrets, secretVariant{"DATABASE_SECRET", secretARN[s.databaseSecret()]})
	}
	if len(s.service.Calls) > 0 {
		container.Secrets = append(container.Secrets, secretVariant{"AUTH_CLIENT_SECRET", secretARN[s.clientSecret()]})
	}
	for _, listed := range s.service.Secrets {
		container.Secrets = append(container.Secrets, secretVariant{manifest.SecretVariable(s.service.Name, listed), secretARN[s.secretName(listed)]})
	}
	return taskDefinition{
		Family: s.family(), NetworkMode: "awsvpc", RequiresCompatibilities: []string{"FARGATE"},
		CPU: strconv.Itoa(s.service.Size.CPU), Memory: strconv.Itoa(s.service.Size.Memory),
		RuntimePlatform:  runtimePlatform{architecture, "LINUX"},
		ExecutionRoleARN: s.role("execution"), TaskRoleARN: s.role("task"),
		ContainerDefinitions: []containerDefinition{container},
	}
}

// contract is the document for the deploy kit.
func (s shell) contract(secretARN map[string]string) (contract.Contract, error) {
	template, err := json.Marshal(s.template(secretARN))
	if err != nil {
		return contract.Contract{}, fmt.Errorf("encode task definition template of %s: %w", s.service.Name, err)
	}
	c := contract.Contract{
		Version: contract.Version, Environment: s.env.Name, Service: s.service.Name,
		Cluster: s.cluster(), ECSService: s.service.Name, Family: s.family(),
		Repository: s.repository(), Container: s.service.Name, LogGroup: s.logGroup(),
		URL: s.gateway, DesiredCount: max(s.service.Scale.Min, 1), TaskDefinition: template,
		TargetGroups: []contract.TargetGroup{},
	}
	if s.service.Database != nil {
		c.Migration = &contract.Migration{Command: []string{"migrate"}}
	}
	for _, e := range s.entries() {
		c.TargetGroups = append(c.TargetGroups, contract.TargetGroup{
			ARN: e.groups[0].ARN, ContainerName: s.service.Name, ContainerPort: e.containerPort,
		})
	}
	return c, nil
}
