// Package contract is the document by which the owner of a service's shell
// (Terraform in AWS, the provisioner on a laptop) tells the deploy kit how the
// service is run: names, the migration, and the task definition template. It
// lives in an SSM parameter, one per service and environment, and is versioned
// because its two sides are released apart.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Version is the contract version that this kit reads and writes.
const Version = 1

// Placeholder is the image of the service's container in the template; Render
// replaces it.
const Placeholder = "slipway:image"

// MaxBytes is the size limit of the encoded document: that of an advanced SSM
// parameter (a standard one holds 4096 bytes, so writers use intelligent
// tiering).
const MaxBytes = 8192

// Contract says how one service is run in one environment.
type Contract struct {
	Version      int           `json:"version"`
	Environment  string        `json:"environment"`
	Service      string        `json:"service"`
	Cluster      string        `json:"cluster"`       // ECS cluster name or ARN
	ECSService   string        `json:"ecs_service"`   // ECS service name
	Family       string        `json:"family"`        // task definition family
	Repository   string        `json:"repository"`    // ECR repository name: slipway/catalog
	Container    string        `json:"container"`     // the service's own container in the template
	LogGroup     string        `json:"log_group"`     // CloudWatch Logs group of the tasks
	URL          string        `json:"url"`           // where the service answers; may be empty
	DesiredCount int           `json:"desired_count"` // tasks to start when the service has none
	Migration    *Migration    `json:"migration"`     // nil when there is nothing to migrate
	Network      *Network      `json:"network"`       // nil where tasks need no network configuration
	TargetGroups []TargetGroup `json:"target_groups"`
	// Endpoints are the AWS services that tasks can reach ("ecr.api", "logs");
	// none are listed where tasks need no endpoint.
	Endpoints []string `json:"endpoints,omitempty"`
	// TaskDefinition is the input of RegisterTaskDefinition as the AWS CLI
	// takes it (lowerCamel names), with Placeholder as the service's image.
	TaskDefinition json.RawMessage `json:"task_definition"`
}

// Migration is run as a task of the new revision before traffic may shift.
type Migration struct {
	Command []string `json:"command"` // overrides the container's command
}

// Network is the awsvpc configuration for tasks that the kit runs itself.
type Network struct {
	Subnets        []string `json:"subnets"`
	SecurityGroups []string `json:"security_groups"`
	AssignPublicIP bool     `json:"assign_public_ip"`
}

// TargetGroup is a target group that the service registers its tasks in.
type TargetGroup struct {
	ARN           string `json:"arn"`
	ContainerName string `json:"container_name"`
	ContainerPort int    `json:"container_port"`
}

// ParameterName returns the name of the SSM parameter that holds the contract.
func ParameterName(environment, service string) string {
	return "/slipway/" + environment + "/services/" + service + "/contract"
}

// VersionError says that a document is of a version that this kit cannot read.
type VersionError struct{ Got int }

// Error says which side is older.
func (e *VersionError) Error() string {
	if e.Got > Version {
		return fmt.Sprintf("contract version %d is newer than this kit, which reads version %d", e.Got, Version)
	}
	return fmt.Sprintf("contract version %d is older than this kit, which reads version %d", e.Got, Version)
}

// Next says which side to bring up to date.
func (e *VersionError) Next() string {
	if e.Got > Version {
		return "git pull   # then repeat the command"
	}
	return "terraform apply   # in the service root, or `go tool mage up` for local"
}

// Decode reads an encoded contract and checks it. Unknown members, trailing
// data and a wrong version (*VersionError) are errors.
func Decode(data []byte) (Contract, error) {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Contract{}, fmt.Errorf("decode contract: %w", err)
	}
	if head.Version == nil {
		return Contract{}, errors.New("decode contract: it has no version; this is not a contract")
	}
	if *head.Version != Version {
		return Contract{}, fmt.Errorf("decode contract: %w", &VersionError{Got: *head.Version})
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var c Contract
	if err := dec.Decode(&c); err != nil {
		return Contract{}, fmt.Errorf("decode contract: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Contract{}, errors.New("decode contract: there is data after the document")
	}
	if err := c.validate(); err != nil {
		return Contract{}, fmt.Errorf("decode contract of %s in %s: %w", c.Service, c.Environment, err)
	}
	return c, nil
}

// Encode returns the document for the SSM parameter. It checks the contract
// and its size (MaxBytes).
func (c Contract) Encode() ([]byte, error) {
	c.Version = Version
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("encode contract of %s in %s: %w", c.Service, c.Environment, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, c.TaskDefinition); err != nil {
		return nil, fmt.Errorf("encode contract of %s in %s: %w", c.Service, c.Environment, err)
	}
	c.TaskDefinition = compact.Bytes()
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode contract of %s in %s: %w", c.Service, c.Environment, err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("encode contract of %s in %s: it has %d bytes and an SSM parameter holds %d",
			c.Service, c.Environment, len(data), MaxBytes)
	}
	return data, nil
}

func (c Contract) validate() error {
	var errs []error
	for _, required := range []struct{ name, value string }{
		{"environment", c.Environment},
		{"service", c.Service},
		{"cluster", c.Cluster},
		{"ecs_service", c.ECSService},
		{"family", c.Family},
		{"repository", c.Repository},
		{"container", c.Container},
		{"log_group", c.LogGroup},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", required.name))
		}
	}
	if c.DesiredCount < 0 {
		errs = append(errs, fmt.Errorf("desired_count is %d; it cannot be negative", c.DesiredCount))
	}
	if c.Migration != nil && len(c.Migration.Command) == 0 {
		errs = append(errs, errors.New("migration has no command"))
	}
	if err := c.validateTemplate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Contract) validateTemplate() error {
	if len(c.TaskDefinition) == 0 {
		return errors.New("task_definition is missing")
	}
	var t struct {
		Family     string `json:"family"`
		Containers []struct {
			Name  string `json:"name"`
			Image string `json:"image"`
		} `json:"containerDefinitions"`
	}
	if err := json.Unmarshal(c.TaskDefinition, &t); err != nil {
		return fmt.Errorf("read task_definition: %w", err)
	}
	if t.Family != c.Family {
		return fmt.Errorf("task_definition is of family %q, the contract of %q", t.Family, c.Family)
	}
	names := make([]string, 0, len(t.Containers))
	for _, container := range t.Containers {
		if container.Name == c.Container {
			if container.Image != Placeholder {
				return fmt.Errorf("container %q of task_definition has image %q instead of %q", container.Name, container.Image, Placeholder)
			}
			return nil
		}
		names = append(names, container.Name)
	}
	return fmt.Errorf("task_definition has no container %q (it has: %s)", c.Container, strings.Join(names, ", "))
}
