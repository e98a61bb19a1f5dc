package metadata

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// taskDocument is what a task learns about itself. Names are AWS's.
type taskDocument struct {
	Cluster          string
	TaskARN          string
	Family           string
	Revision         string
	ServiceName      string `json:",omitempty"`
	DesiredStatus    string
	KnownStatus      string
	Limits           limits
	PullStartedAt    *time.Time `json:",omitempty"`
	PullStoppedAt    *time.Time `json:",omitempty"`
	AvailabilityZone string
	LaunchType       string
	Containers       []containerDocument
	TaskTags         map[string]string `json:",omitempty"`
}

// limits are CPUs (of a task) or CPU units (of a container) and MiB.
type limits struct {
	CPU    float64 `json:",omitempty"`
	Memory int     `json:",omitempty"`
}

// containerDocument is what a container learns about itself.
type containerDocument struct {
	DockerID      string `json:"DockerId"`
	Name          string
	DockerName    string
	Image         string
	ImageID       string
	Labels        map[string]string
	DesiredStatus string
	KnownStatus   string
	ExitCode      *int32 `json:",omitempty"`
	Limits        limits
	CreatedAt     *time.Time `json:",omitempty"`
	StartedAt     *time.Time `json:",omitempty"`
	Type          string
	Health        *health           `json:",omitempty"`
	LogDriver     string            `json:",omitempty"`
	LogOptions    map[string]string `json:",omitempty"`
	ContainerARN  string
	Networks      []network
	Ports         []port `json:",omitempty"`
}

type health struct {
	Status string `json:"status"`
}

type network struct {
	NetworkMode   string
	IPv4Addresses []string
}

type port struct {
	ContainerPort int32
	HostPort      int32
	Protocol      string
}

func (v view) taskDocument() taskDocument {
	cpu, _ := strconv.ParseFloat(aws.ToString(v.task.Cpu), 64)
	memory, _ := strconv.Atoi(aws.ToString(v.task.Memory))
	doc := taskDocument{
		Cluster: aws.ToString(v.task.ClusterArn), TaskARN: aws.ToString(v.task.TaskArn),
		Family: aws.ToString(v.def.Family), Revision: strconv.Itoa(int(v.def.Revision)),
		DesiredStatus: aws.ToString(v.task.DesiredStatus), KnownStatus: aws.ToString(v.task.LastStatus),
		Limits:        limits{CPU: cpu / 1024, Memory: memory},
		PullStartedAt: v.task.PullStartedAt, PullStoppedAt: v.task.PullStoppedAt,
		AvailabilityZone: aws.ToString(v.task.AvailabilityZone), LaunchType: string(v.task.LaunchType),
	}
	if name, of := strings.CutPrefix(aws.ToString(v.task.Group), "service:"); of {
		doc.ServiceName = name
	}
	for i := range v.task.Containers {
		doc.Containers = append(doc.Containers, v.containerDocument(i))
	}
	return doc
}

func (v view) tagged() taskDocument {
	doc := v.taskDocument()
	doc.TaskTags = map[string]string{}
	for _, tag := range v.task.Tags {
		doc.TaskTags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return doc
}

func (v view) containerDocument(i int) containerDocument {
	c, def := v.task.Containers[i], v.def.ContainerDefinitions[i]
	name, arn := aws.ToString(c.Name), aws.ToString(v.task.TaskArn)
	doc := containerDocument{
		DockerID: cmp.Or(aws.ToString(c.RuntimeId), last(arn)+"-"+name),
		Name:     name, DockerName: name,
		Image: aws.ToString(c.Image), ImageID: aws.ToString(c.ImageDigest),
		Labels: map[string]string{
			"com.amazonaws.ecs.cluster":                 aws.ToString(v.task.ClusterArn),
			"com.amazonaws.ecs.container-name":          name,
			"com.amazonaws.ecs.task-arn":                arn,
			"com.amazonaws.ecs.task-definition-family":  aws.ToString(v.def.Family),
			"com.amazonaws.ecs.task-definition-version": strconv.Itoa(int(v.def.Revision)),
		},
		DesiredStatus: aws.ToString(v.task.DesiredStatus), KnownStatus: aws.ToString(c.LastStatus),
		ExitCode: c.ExitCode, CreatedAt: v.task.CreatedAt, StartedAt: v.task.StartedAt,
		Limits: limits{CPU: float64(def.Cpu), Memory: int(aws.ToInt32(def.Memory))},
		Type:   "NORMAL", ContainerARN: aws.ToString(c.ContainerArn), Networks: []network{},
	}
	maps.Copy(doc.Labels, def.DockerLabels)
	if def.LogConfiguration != nil {
		doc.LogDriver, doc.LogOptions = string(def.LogConfiguration.LogDriver), def.LogConfiguration.Options
	}
	if def.HealthCheck != nil {
		doc.Health = &health{Status: string(cmp.Or(c.HealthStatus, types.HealthStatusUnknown))}
	}
	for _, n := range c.NetworkInterfaces {
		doc.Networks = append(doc.Networks, network{
			NetworkMode: string(v.def.NetworkMode), IPv4Addresses: []string{aws.ToString(n.PrivateIpv4Address)},
		})
	}
	for _, b := range c.NetworkBindings {
		doc.Ports = append(doc.Ports, port{aws.ToInt32(b.ContainerPort), aws.ToInt32(b.HostPort), string(b.Protocol)})
	}
	return doc
}

// stats has an entry for each container. The agent answers null for a
// container it has no figures of, and here there are none.
func (v view) stats() map[string]any {
	out := map[string]any{}
	for i := range v.task.Containers {
		out[v.containerDocument(i).DockerID] = nil
	}
	return out
}
