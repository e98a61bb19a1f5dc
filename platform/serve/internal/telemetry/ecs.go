package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

const (
	metadataTimeout = 2 * time.Second
	metadataTries   = 5
	metadataLimit   = 1 << 20 // bytes
)

// task tells which ECS task this is, from the task metadata endpoint, version 4
// (Amazon ECS Developer Guide, "task-metadata-endpoint-v4-fargate"). The
// contrib's detector asks while the process starts, and trusts the container's
// cgroup and host name; here the first export asks, and nobody waits for it.
type task struct {
	url    string
	client *http.Client

	tries int // by the one goroutine that exports
	found *resource.Resource
}

// resource is what is known of the task, nil if nothing is.
func (t *task) resource(ctx context.Context) *resource.Resource {
	if t.found != nil || t.url == "" || t.tries >= metadataTries {
		return t.found
	}
	t.tries++
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	var container containerMetadata
	var whole taskMetadata
	if t.get(ctx, t.url, &container) != nil || t.get(ctx, strings.TrimSuffix(t.url, "/")+"/task", &whole) != nil {
		return nil // the next export asks again
	}
	t.found = resource.NewWithAttributes(semconv.SchemaURL, describeTask(container, whole)...)
	return t.found
}

type containerMetadata struct {
	DockerID     string `json:"DockerId"`
	Name         string `json:"Name"`
	ContainerARN string `json:"ContainerARN"`
	LogDriver    string `json:"LogDriver"`
	LogOptions   struct {
		Group  string `json:"awslogs-group"`
		Stream string `json:"awslogs-stream"`
	} `json:"LogOptions"`
}

type taskMetadata struct {
	Cluster          string `json:"Cluster"`
	TaskARN          string `json:"TaskARN"`
	Family           string `json:"Family"`
	Revision         string `json:"Revision"`
	AvailabilityZone string `json:"AvailabilityZone"`
	LaunchType       string `json:"LaunchType"`
}

func (t *task) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask task metadata: %w", err)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask task metadata: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask task metadata: status %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, metadataLimit)).Decode(into); err != nil {
		return fmt.Errorf("decode task metadata: %w", err)
	}
	return nil
}

// describeTask gives the attributes that the semantic conventions have for it.
func describeTask(c containerMetadata, t taskMetadata) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.CloudProviderAWS, semconv.CloudPlatformAWSECS}
	add := func(key attribute.Key, value string) {
		if value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	cluster := t.Cluster
	if arn := strings.Split(t.TaskARN, ":"); len(arn) >= 6 { // arn:aws:ecs:REGION:ACCOUNT:task/...
		add(semconv.CloudRegionKey, arn[3])
		add(semconv.CloudAccountIDKey, arn[4])
		if cluster != "" && !strings.HasPrefix(cluster, "arn:") {
			cluster = strings.Join(arn[:5], ":") + ":cluster/" + cluster
		}
	}
	add(semconv.CloudAvailabilityZoneKey, t.AvailabilityZone)
	add(semconv.AWSECSTaskARNKey, t.TaskARN)
	add(semconv.AWSECSTaskFamilyKey, t.Family)
	add(semconv.AWSECSTaskRevisionKey, t.Revision)
	add(semconv.AWSECSClusterARNKey, cluster)
	add(semconv.AWSECSLaunchtypeKey, strings.ToLower(t.LaunchType))
	add(semconv.AWSECSContainerARNKey, c.ContainerARN)
	add(semconv.ContainerIDKey, c.DockerID)
	add(semconv.ContainerNameKey, c.Name)
	if c.LogDriver == "awslogs" && c.LogOptions.Group != "" && c.LogOptions.Stream != "" {
		attrs = append(attrs, semconv.AWSLogGroupNames(c.LogOptions.Group), semconv.AWSLogStreamNames(c.LogOptions.Stream))
	}
	return attrs
}
