package metadata

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const id = "0123456789abcdef0123456789abcdef"

type source struct{}

func (source) Task(asked string) (types.Task, types.TaskDefinition, bool) {
	running := types.Task{
		TaskArn:    aws.String("arn:aws:ecs:us-east-1:000000000000:task/test/" + id),
		ClusterArn: aws.String("arn:aws:ecs:us-east-1:000000000000:cluster/test"),
		Cpu:        aws.String("256"), Memory: aws.String("512"), LastStatus: aws.String("RUNNING"),
		DesiredStatus: aws.String("RUNNING"), Group: aws.String("service:web"),
		AvailabilityZone: aws.String("us-east-1a"), LaunchType: types.LaunchTypeFargate,
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
		Containers: []types.Container{
			{Name: aws.String("init"), LastStatus: aws.String("STOPPED"), ExitCode: aws.Int32(0)},
			{Name: aws.String("web"), LastStatus: aws.String("RUNNING"), RuntimeId: aws.String("pid-1"), Image: aws.String("web@sha256:1")},
		},
	}
	def := types.TaskDefinition{
		Family: aws.String("web"), Revision: 7, NetworkMode: types.NetworkModeAwsvpc,
		ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("init"), Essential: aws.Bool(false)},
			{Name: aws.String("web"), LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/web"}}},
		},
	}
	return running, def, asked == id
}

func get(t *testing.T, path string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	New(source{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var doc map[string]any
	if w.Code == http.StatusOK && !strings.HasSuffix(path, id+"/stats") {
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
	}
	return w.Code, doc
}

func TestDocuments(t *testing.T) {
	tests := map[string]struct {
		path string
		want map[string]any
	}{
		"essential container": {"/v4/" + id, map[string]any{"Name": "web", "DockerId": "pid-1", "KnownStatus": "RUNNING", "LogDriver": "awslogs", "Type": "NORMAL"}},
		"named container":     {"/v4/" + id + "-init", map[string]any{"Name": "init", "KnownStatus": "STOPPED", "ExitCode": 0.0}},
		"task": {"/v4/" + id + "/task", map[string]any{
			"Family": "web", "Revision": "7", "ServiceName": "web", "LaunchType": "FARGATE", "AvailabilityZone": "us-east-1a",
			"Cluster": "arn:aws:ecs:us-east-1:000000000000:cluster/test", "TaskTags": nil,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, doc := get(t, tt.path)
			if code != http.StatusOK {
				t.Fatalf("status %d", code)
			}
			for key, want := range tt.want {
				if doc[key] != want {
					t.Errorf("%s = %v, want %v", key, doc[key], want)
				}
			}
		})
	}
}

func TestTaskLimitsAndTags(t *testing.T) {
	_, doc := get(t, "/v4/"+id+"/taskWithTags")
	if limits := doc["Limits"].(map[string]any); limits["CPU"] != 0.25 || limits["Memory"] != 512.0 {
		t.Errorf("limits = %v", limits)
	}
	if tags := doc["TaskTags"].(map[string]any); tags["team"] != "web" {
		t.Errorf("tags = %v", tags)
	}
	if n := len(doc["Containers"].([]any)); n != 2 {
		t.Errorf("%d containers, want 2", n)
	}
}

func TestUnknown(t *testing.T) {
	for _, path := range []string{"/v4/" + strings.Repeat("f", 32), "/v4/" + id + "-none", "/v3/" + id} {
		if code, _ := get(t, path); code != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, code)
		}
	}
}

func TestStatsAreNull(t *testing.T) {
	code, doc := get(t, "/v4/"+id+"/task/stats")
	if value, there := doc["pid-1"]; code != http.StatusOK || !there || value != nil {
		t.Errorf("status %d, stats %v", code, doc)
	}
}
