package lifecycle

import (
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// defaultPath is what container runtimes use where an image names none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Variables is an environment in which later values replace earlier ones.
type Variables struct {
	order  []string
	values map[string]string
}

// Set sets a variable.
func (v *Variables) Set(name, value string) {
	if v.values == nil {
		v.values = map[string]string{}
	}
	if _, ok := v.values[name]; !ok {
		v.order = append(v.order, name)
	}
	v.values[name] = value
}

// Get is a variable's value, "" when it is not set.
func (v *Variables) Get(name string) string { return v.values[name] }

// List is the environment as a program gets it.
func (v *Variables) List() []string {
	out := make([]string, 0, len(v.order))
	for _, name := range v.order {
		out = append(out, name+"="+v.values[name])
	}
	return out
}

func (v *Variables) setAll(pairs []types.KeyValuePair) {
	for _, p := range pairs {
		v.Set(aws.ToString(p.Name), aws.ToString(p.Value))
	}
}

// Variables are what the container's processes see before the driver adds its
// own: its defaults, the image's variables, the definition's, the override's,
// and secrets.
func (c *Container) Variables(defaults map[string]string) *Variables {
	v := &Variables{}
	v.Set("PATH", defaultPath)
	for name, value := range defaults {
		v.Set(name, value)
	}
	for _, kv := range c.image.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		v.Set(name, value)
	}
	v.setAll(c.def.Environment)
	v.setAll(c.Override().Environment)
	for _, s := range c.secrets {
		v.Set(s[0], s[1])
	}
	v.Set("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
	if c.task.spec.MetadataURI != "" {
		v.Set("ECS_CONTAINER_METADATA_URI_V4", c.task.spec.MetadataURI)
	}
	return v
}

// Override is what the task's overrides say about the container.
func (c *Container) Override() types.ContainerOverride {
	for _, o := range c.task.spec.Overrides.ContainerOverrides {
		if aws.ToString(o.Name) == c.Name() {
			return o
		}
	}
	return types.ContainerOverride{}
}

// OpenLog opens the container's log stream: awslogs with AWS's own stream name,
// PREFIX/CONTAINER/TASKID. A container without a log configuration is not
// logged.
func (c *Container) OpenLog() io.WriteCloser {
	lc := c.def.LogConfiguration
	if lc == nil || lc.LogDriver != types.LogDriverAwslogs {
		return discard{}
	}
	stream := c.Name() + "/" + c.task.spec.ID
	if prefix := lc.Options["awslogs-stream-prefix"]; prefix != "" {
		stream = prefix + "/" + stream
	}
	return c.task.rt.cfg.Logs.Writer(lc.Options["awslogs-group"], stream)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
