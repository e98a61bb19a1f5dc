package ecsapi

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// checkDefinition refuses what ECS refuses, and what the embedded cluster
// would not honour.
func checkDefinition(in *ecs.RegisterTaskDefinitionInput) error {
	if !named.MatchString(aws.ToString(in.Family)) {
		return ecserr.Client("Family contains invalid characters: %q. It is 1 to 255 letters, digits, hyphens and underscores.", aws.ToString(in.Family))
	}
	what := present(map[string]bool{
		"volumes":               len(in.Volumes) > 0,
		"proxyConfiguration":    in.ProxyConfiguration != nil,
		"inferenceAccelerators": len(in.InferenceAccelerators) > 0, //nolint:staticcheck // refused, not used
		"ipcMode":               in.IpcMode != "",
		"pidMode":               in.PidMode != "",
		"placementConstraints":  len(in.PlacementConstraints) > 0,
		"enableFaultInjection":  aws.ToBool(in.EnableFaultInjection),
	})
	if what != "" {
		return ecserr.Unsupported("%s is not available on this cluster.", what+" in a task definition")
	}
	if slices.Contains(in.RequiresCompatibilities, types.CompatibilityFargate) {
		if in.NetworkMode != types.NetworkModeAwsvpc {
			return ecserr.Client("Fargate only supports network mode 'awsvpc'.")
		}
		if _, _, err := taskSize(aws.ToString(in.Cpu), aws.ToString(in.Memory)); err != nil {
			return err
		}
	}
	return checkContainers(in.ContainerDefinitions)
}

func checkContainers(containers []types.ContainerDefinition) error {
	if len(containers) == 0 {
		return ecserr.Client("Container list cannot be empty.")
	}
	seen, essential := map[string]bool{}, false
	for _, c := range containers {
		name := aws.ToString(c.Name)
		if !named.MatchString(name) {
			return ecserr.Client("Container name contains invalid characters: %q.", name)
		}
		if seen[name] {
			return ecserr.Client("Container names must be unique: %s appears more than once.", name)
		}
		seen[name] = true
		essential = essential || c.Essential == nil || *c.Essential
		if err := checkContainer(c); err != nil {
			return err
		}
	}
	if !essential {
		return ecserr.Client("At least one container must be marked essential.")
	}
	if err := checkPorts(containers); err != nil {
		return err
	}
	return checkDependencies(containers)
}

func checkContainer(c types.ContainerDefinition) error {
	name := *c.Name
	if aws.ToString(c.Image) == "" {
		return ecserr.Client("Container.image should not be null or empty: container %s.", name)
	}
	if c.LogConfiguration != nil {
		if c.LogConfiguration.LogDriver != types.LogDriverAwslogs {
			return ecserr.Unsupported("%s is not available on this cluster.", "The log driver "+string(c.LogConfiguration.LogDriver))
		}
		for _, option := range []string{"awslogs-group", "awslogs-region"} {
			if c.LogConfiguration.Options[option] == "" {
				return ecserr.Client("Log driver awslogs requires options: %s (container %s).", option, name)
			}
		}
	}
	if c.HealthCheck != nil && len(c.HealthCheck.Command) == 0 {
		return ecserr.Client("Health check command should not be empty: container %s.", name)
	}
	if s := aws.ToInt32(c.StopTimeout); s < 0 || s > 120 {
		return ecserr.Client("stopTimeout must be between 0 and 120 seconds on Fargate: container %s.", name)
	}
	for _, kv := range c.Environment {
		if aws.ToString(kv.Name) == "" {
			return ecserr.Client("Environment variable names should not be empty: container %s.", name)
		}
	}
	for _, secret := range c.Secrets {
		if aws.ToString(secret.Name) == "" || aws.ToString(secret.ValueFrom) == "" {
			return ecserr.Client("Secrets need a name and valueFrom: container %s.", name)
		}
	}
	if what := unavailable(c); what != "" {
		return ecserr.Unsupported("%s is not available on this cluster.", what+" (container "+name+")")
	}
	return nil
}

// unavailable names a setting of the container that would not be honoured.
// Limits that a laptop need not enforce (cpu, memory, ulimits, readonly root
// file system, Linux parameters) and labels are kept and returned.
func unavailable(c types.ContainerDefinition) string {
	return present(map[string]bool{
		"privileged":            aws.ToBool(c.Privileged),
		"links":                 len(c.Links) > 0,
		"mountPoints":           len(c.MountPoints) > 0,
		"volumesFrom":           len(c.VolumesFrom) > 0,
		"environmentFiles":      len(c.EnvironmentFiles) > 0,
		"firelensConfiguration": c.FirelensConfiguration != nil,
		"repositoryCredentials": c.RepositoryCredentials != nil,
		"resourceRequirements":  len(c.ResourceRequirements) > 0,
		"restartPolicy":         c.RestartPolicy != nil && aws.ToBool(c.RestartPolicy.Enabled),
		"extraHosts":            len(c.ExtraHosts) > 0,
		"dnsServers":            len(c.DnsServers) > 0,
		"dnsSearchDomains":      len(c.DnsSearchDomains) > 0,
		"hostname":              aws.ToString(c.Hostname) != "",
		"disableNetworking":     aws.ToBool(c.DisableNetworking),
		"dockerSecurityOptions": len(c.DockerSecurityOptions) > 0,
		"credentialSpecs":       len(c.CredentialSpecs) > 0,
		"systemControls":        len(c.SystemControls) > 0,
		"interactive":           aws.ToBool(c.Interactive),
		"pseudoTerminal":        aws.ToBool(c.PseudoTerminal),
	})
}

// checkPorts makes sure that ports and their names are unique in the task, as
// they share one network interface.
func checkPorts(containers []types.ContainerDefinition) error {
	ports, names := map[int32]bool{}, map[string]bool{}
	for _, c := range containers {
		for _, p := range c.PortMappings {
			port := aws.ToInt32(p.ContainerPort)
			switch {
			case p.ContainerPortRange != nil:
				return ecserr.Unsupported("%s is not available on this cluster.", "containerPortRange")
			case port < 1 || port > 65535:
				return ecserr.Client("Invalid container port %d: container %s.", port, *c.Name)
			case aws.ToInt32(p.HostPort) != 0 && *p.HostPort != port:
				return ecserr.Client("When networkMode=awsvpc, the host ports and container ports in port mappings must match: container %s.", *c.Name)
			case ports[port]:
				return ecserr.Client("Port %d is mapped more than once.", port)
			case p.Name != nil && names[*p.Name]:
				return ecserr.Client("Port mapping names must be unique: %s appears more than once.", *p.Name)
			}
			ports[port] = true
			if p.Name != nil {
				names[*p.Name] = true
			}
		}
	}
	return nil
}

// checkDependencies follows dependsOn: each container exists, a wait for
// HEALTHY has a check to wait for, and nobody waits in a circle.
func checkDependencies(containers []types.ContainerDefinition) error {
	byName := map[string]types.ContainerDefinition{}
	for _, c := range containers {
		byName[*c.Name] = c
	}
	const visiting, visited = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case visiting:
			return ecserr.Client("Container dependency cycle: %s waits for itself.", name)
		case visited:
			return nil
		}
		state[name] = visiting
		for _, d := range byName[name].DependsOn {
			on, there := byName[aws.ToString(d.ContainerName)]
			if !there {
				return ecserr.Client("Container %s depends on %s, which does not exist.", name, aws.ToString(d.ContainerName))
			}
			if d.Condition == types.ContainerConditionHealthy && on.HealthCheck == nil {
				return ecserr.Client("Container %s waits for %s to be HEALTHY, which has no health check.", name, *on.Name)
			}
			if err := visit(*on.Name); err != nil {
				return err
			}
		}
		state[name] = visited
		return nil
	}
	for _, c := range containers {
		if err := visit(*c.Name); err != nil {
			return err
		}
	}
	return nil
}
