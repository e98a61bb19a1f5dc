// Package metadata serves the task metadata endpoint, version 4, to the tasks
// of the embedded cluster: what a container can learn about itself and its
// task. It only reads.
//
// Source: "Amazon ECS task metadata endpoint version 4 for tasks on Fargate".
package metadata

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Source is where tasks are looked up; the scheduler is one.
type Source interface {
	// Task finds a task and its definition by the task's id.
	Task(id string) (types.Task, types.TaskDefinition, bool)
}

// idLength is the length of a task id.
const idLength = 32

// New serves /v4/ID, /v4/ID/task, /v4/ID/taskWithTags, /v4/ID/stats and
// /v4/ID/task/stats. ID is a task id, which stands for the task's first
// essential container, or a task id, "-" and a container's name.
func New(source Source) http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, document func(view) any) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			v, found := find(source, r.PathValue("id"))
			if !found {
				http.Error(w, "V4 metadata handler: unable to find the task "+r.PathValue("id"), http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			// The only error is a client that has gone.
			_ = json.NewEncoder(w).Encode(document(v))
		})
	}
	serve("/v4/{id}", func(v view) any { return v.containerDocument(v.container) })
	serve("/v4/{id}/task", func(v view) any { return v.taskDocument() })
	serve("/v4/{id}/taskWithTags", func(v view) any { return v.tagged() })
	serve("/v4/{id}/stats", func(view) any { return nil })
	serve("/v4/{id}/task/stats", func(v view) any { return v.stats() })
	return mux
}

// view is one task as one of its containers sees it.
type view struct {
	task      types.Task
	def       types.TaskDefinition
	container int // index in both task.Containers and def.ContainerDefinitions
}

func find(source Source, id string) (view, bool) {
	name := ""
	if len(id) > idLength && id[idLength] == '-' {
		id, name = id[:idLength], id[idLength+1:]
	}
	task, def, found := source.Task(id)
	if !found || len(task.Containers) != len(def.ContainerDefinitions) {
		return view{}, false
	}
	for i, c := range def.ContainerDefinitions {
		if name == "" && (c.Essential == nil || *c.Essential) || *c.Name == name {
			return view{task, def, i}, true
		}
	}
	return view{}, false
}

// last is the part of an ARN after the last slash.
func last(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
