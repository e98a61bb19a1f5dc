package docker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Labels of everything that is ours in an engine.
const (
	labelState     = "dev.slipway.state" // the runtime's folder
	labelTask      = "dev.slipway.task"
	labelContainer = "dev.slipway.container"
)

const (
	// unprivileged is the user of containers that name none, or root.
	unprivileged = "65532:65532"
	// pidsLimit bounds the processes and threads of a container.
	pidsLimit = 1024
	// cpuUnits are a whole processor in ECS.
	cpuUnits = 1024
	mebibyte = 1 << 20
)

// describe is a container as the engine is asked for it, in the network
// namespace of the ferry.
func describe(c *lifecycle.Container, dir, image, ferry string, environment map[string]string) (client.ContainerCreateOptions, error) {
	def := c.Definition()
	mounts, err := volumes(c)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	vars := c.Variables(nil)
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		vars.Set(name, environment[name])
	}
	config := &container.Config{
		Image: image, User: user(def, c.Image().Config.User), Env: vars.List(),
		Labels: labels(dir, c.Task().Spec().ID, c.Name()),
		// An image's own health check is not ECS's; the definition's is run by us.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		WorkingDir:  c.Workdir(),
		// The image's entry point is said again, since an empty one would be its.
		Entrypoint: c.Argv()[:1], Cmd: c.Argv()[1:],
	}
	host := harden(resources(c.Task().Spec(), def, c.Override()))
	host.NetworkMode = container.NetworkMode("container:" + ferry)
	host.ReadonlyRootfs = def.ReadonlyRootFilesystem == nil || *def.ReadonlyRootFilesystem
	host.Tmpfs = mounts
	if p := def.LinuxParameters; p != nil && aws.ToBool(p.InitProcessEnabled) {
		host.Init = aws.Bool(true)
	}
	return client.ContainerCreateOptions{Name: engineName(c.Task().Spec(), c.Name()), Config: config, HostConfig: host}, nil
}

// harden is what every container has in common: no capabilities, no way to new
// privileges, logs that do not grow.
func harden(r container.Resources) *container.HostConfig {
	return &container.HostConfig{
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
		IpcMode:   container.IPCModePrivate,
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}},
		Resources: r,
	}
}

func labels(dir, taskID, name string) map[string]string {
	return map[string]string{labelState: dir, labelTask: taskID, labelContainer: name}
}

// engineName is what `docker ps` shows: family, the task's first digits, name.
func engineName(spec task.Spec, name string) string {
	return fmt.Sprintf("%s-%.12s-%s", aws.ToString(spec.Definition.Family), spec.ID, name)
}

// user is the definition's, else the image's; root becomes an unprivileged one.
func user(def types.ContainerDefinition, image string) string {
	u := aws.ToString(def.User)
	if u == "" {
		u = image
	}
	switch name, _, _ := strings.Cut(u, ":"); name {
	case "", "0", "root":
		return unprivileged
	}
	return u
}

// resources are the task's size, which each of its containers may use as far as
// its own limits let it. The engine has no limit of a whole task, so that
// containers of one task do not share the size, as they do on Fargate.
func resources(spec task.Spec, def types.ContainerDefinition, over types.ContainerOverride) container.Resources {
	r := container.Resources{PidsLimit: aws.Int64(pidsLimit)}
	if units := number(spec.Overrides.Cpu, spec.Definition.Cpu); units > 0 {
		r.NanoCPUs = units * 1e9 / cpuUnits
	}
	r.CPUShares = max(int64(def.Cpu), int64(aws.ToInt32(over.Cpu)))
	memory := number(spec.Overrides.Memory, spec.Definition.Memory)
	for _, own := range []*int32{def.Memory, over.Memory} {
		if own != nil && *own > 0 {
			memory = int64(*own)
		}
	}
	r.Memory = memory * mebibyte
	r.MemorySwap = r.Memory         // no swap beside it
	for _, u := range def.Ulimits { // Fargate's own default may be above what the engine may give
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: string(u.Name), Soft: int64(u.SoftLimit), Hard: int64(u.HardLimit)})
	}
	return r
}

// number is the first one that is given: cpu units or MiB, in ECS a text.
func number(texts ...*string) int64 {
	for _, t := range texts {
		if n, err := strconv.ParseInt(strings.TrimSpace(aws.ToString(t)), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// volumes are what the container may write to, in memory. Fargate's volumes are
// on disk and shared by a task's containers; here one is for one container.
func volumes(c *lifecycle.Container) (map[string]string, error) {
	const prefix = "ResourceInitializationError"
	def, out := c.Definition(), map[string]string{}
	for _, m := range def.MountPoints {
		name := aws.ToString(m.SourceVolume)
		at := slices.IndexFunc(c.Task().Spec().Definition.Volumes, func(v types.Volume) bool { return aws.ToString(v.Name) == name })
		if at < 0 {
			return nil, fmt.Errorf("%s: container %s: volume %s is not in the task definition", prefix, c.Name(), name)
		}
		if v := c.Task().Spec().Definition.Volumes[at]; v.EfsVolumeConfiguration != nil || v.Host != nil && aws.ToString(v.Host.SourcePath) != "" {
			return nil, fmt.Errorf("%s: container %s: volume %s is not the task's own: only such volumes are supported here", prefix, c.Name(), name)
		}
		if other := sharer(c, name); other != "" {
			return nil, fmt.Errorf("%s: containers %s and %s share volume %s, which is not supported here", prefix, c.Name(), other, name)
		}
		options := "rw,nosuid,nodev,mode=1777"
		if aws.ToBool(m.ReadOnly) {
			options = "ro,nosuid,nodev,mode=1777"
		}
		out[aws.ToString(m.ContainerPath)] = options
	}
	if def.LinuxParameters != nil {
		for _, t := range def.LinuxParameters.Tmpfs {
			options := append([]string{"nosuid", "nodev", fmt.Sprintf("size=%dm", t.Size)}, t.MountOptions...)
			out[aws.ToString(t.ContainerPath)] = strings.Join(options, ",")
		}
	}
	return out, nil
}

// sharer is another container that mounts the volume.
func sharer(c *lifecycle.Container, volume string) string {
	for _, other := range c.Task().Containers() {
		for _, m := range other.Definition().MountPoints {
			if other != c && aws.ToString(m.SourceVolume) == volume {
				return other.Name()
			}
		}
	}
	return ""
}
