package docker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/ferry"
)

// created is what the engine was asked for.
type created struct {
	container.Config

	HostConfig container.HostConfig
}

// fakeContainer is a container of fakeEngine. It runs until it gets a signal,
// or until its behaviour says.
type fakeContainer struct {
	id, name string
	asked    created
	started  bool
	signals  []string
	exit     *container.State
	ended    chan struct{}
	stop     func()
}

// fakeEngine speaks as much of the Engine API as the runtime uses.
type fakeEngine struct {
	t      *testing.T
	server *http.Server
	socket string

	mu         sync.Mutex
	containers map[string]*fakeContainer
	images     map[string]map[string]any // what it has, by name
	registry   map[string]map[string]any // what it can pull
	auth       []string
	removed    []string
	execs      map[string][]string
	apiVersion string
	security   []string
	pullError  string
	output     string
	// behave decides what a container does once it runs; nil lets it run.
	behave func(*fakeContainer)
	// check gives a health check's exit code.
	check func(argv []string) int
}

func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-*") //nolint:usetesting // a socket's address has to be short
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEngine{
		t: t, socket: filepath.Join(dir, "sock"), apiVersion: "1.50",
		containers: map[string]*fakeContainer{}, images: map[string]map[string]any{}, registry: map[string]map[string]any{}, execs: map[string][]string{},
	}
	e.listen()
	t.Cleanup(func() {
		e.shut()
		_ = os.RemoveAll(dir)
	})
	return e
}

func (e *fakeEngine) listen() {
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(e.serve)}
	e.server = server
	go func() { _ = server.Serve(l) }()
}

// shut ends the engine without a word, as kill -9 does.
func (e *fakeEngine) shut() { _ = e.server.Close() }

func (e *fakeEngine) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = path[strings.IndexByte(path[1:], '/')+1:]
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch parts[0] {
	case "_ping":
		w.Header().Set("Api-Version", e.apiVersion)
		w.Header().Set("Ostype", "linux")
	case "info":
		reply(w, 200, map[string]any{"ServerVersion": "99.1", "OSType": "linux", "SecurityOptions": e.security})
	case "images":
		e.serveImages(w, r, strings.TrimPrefix(path, "/images/"))
	case "exec":
		e.serveExec(w, parts)
	case "containers":
		e.serveContainers(w, r, parts[1:])
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refusal(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"message": text})
}

func (e *fakeEngine) serveImages(w http.ResponseWriter, r *http.Request, rest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch name := strings.TrimSuffix(rest, "/json"); {
	case rest == "create" && r.URL.Query().Get("fromSrc") == "-":
		_, _ = io.Copy(io.Discard, r.Body)
		tag := r.URL.Query().Get("repo") + ":" + r.URL.Query().Get("tag")
		e.images[tag] = map[string]any{"Id": "sha256:ferry", "RepoTags": []string{tag}, "Labels": map[string]string{}}
		reply(w, 200, map[string]string{"status": "sha256:ferry"})
	case rest == "create":
		e.auth = append(e.auth, r.Header.Get("X-Registry-Auth"))
		ref := r.URL.Query().Get("fromImage") + "@" + r.URL.Query().Get("tag")
		if e.pullError != "" {
			reply(w, 200, map[string]any{"errorDetail": map[string]string{"message": e.pullError}, "error": e.pullError})
			return
		}
		e.images[ref] = e.registry[ref]
		reply(w, 200, map[string]string{"status": "Downloaded"})
	case rest == "json":
		list := []map[string]any{}
		for _, img := range e.images {
			list = append(list, img)
		}
		reply(w, 200, list)
	case r.Method == http.MethodDelete:
		e.removed = append(e.removed, rest)
		delete(e.images, rest)
		reply(w, 200, []any{})
	case e.images[name] == nil:
		refusal(w, 404, "No such image: "+name)
	default:
		reply(w, 200, e.images[name])
	}
}

func (e *fakeEngine) serveExec(w http.ResponseWriter, parts []string) {
	e.mu.Lock()
	argv := e.execs[parts[1]]
	e.mu.Unlock()
	if parts[2] == "json" {
		reply(w, 200, map[string]any{"ID": parts[1], "Running": false, "ExitCode": e.check(argv)})
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack() // the command writes nothing and ends
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	_ = conn.Close()
}

func (e *fakeEngine) serveContainers(w http.ResponseWriter, r *http.Request, parts []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch parts[0] {
	case "create":
		c := &fakeContainer{id: fmt.Sprintf("c%d", len(e.containers)), name: r.URL.Query().Get("name"), ended: make(chan struct{}), stop: func() {}}
		if err := json.NewDecoder(r.Body).Decode(&c.asked); err != nil {
			e.t.Error(err)
		}
		e.containers[c.id] = c
		reply(w, 201, map[string]string{"Id": c.id})
		return
	case "json":
		want := r.URL.Query().Get("filters")
		list := []map[string]any{}
		for _, c := range e.containers {
			if strings.Contains(want, `"`+labelState+"="+c.asked.Labels[labelState]+`"`) {
				list = append(list, map[string]any{"Id": c.id})
			}
		}
		reply(w, 200, list)
		return
	}
	c := e.containers[parts[0]]
	if c == nil {
		refusal(w, 404, "No such container: "+parts[0])
		return
	}
	if r.Method == http.MethodDelete {
		c.stop()
		c.end(container.State{ExitCode: 137})
		delete(e.containers, c.id)
		e.removed = append(e.removed, c.name)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e.serveContainer(w, r, c, parts[1])
}

// serveContainer answers for one container. The lock is held.
func (e *fakeEngine) serveContainer(w http.ResponseWriter, r *http.Request, c *fakeContainer, what string) {
	switch what {
	case "start":
		c.started = true
		e.run(c)
		w.WriteHeader(http.StatusNoContent)
	case "wait":
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() // an engine answers at once, and tells later
		select {
		case <-c.ended:
			_ = json.NewEncoder(w).Encode(map[string]int{"StatusCode": c.exit.ExitCode})
		case <-r.Context().Done():
		}
		e.mu.Lock()
	case "json":
		state := container.State{Running: c.started, Status: "running"}
		if c.exit != nil {
			state = *c.exit
		}
		reply(w, 200, map[string]any{"Id": c.id, "State": state})
	case "logs":
		out := e.output
		frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(out)))
		_, _ = w.Write(append(frame, out...))
		w.(http.Flusher).Flush()
		e.mu.Unlock()
		select {
		case <-c.ended:
		case <-r.Context().Done():
		}
		e.mu.Lock()
	case "kill":
		signal := r.URL.Query().Get("signal")
		c.signals = append(c.signals, signal)
		if signal == "SIGKILL" || c.asked.Labels["polite"] != "no" {
			c.end(container.State{ExitCode: map[string]int{"SIGKILL": 137}[signal]})
		}
		w.WriteHeader(http.StatusNoContent)
	case "exec":
		var body struct{ Cmd []string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		id := fmt.Sprintf("e%d", len(e.execs))
		e.execs[id] = body.Cmd
		reply(w, 201, map[string]string{"Id": id})
	}
}

// run lets a container run: a ferry for true, others as they behave.
func (e *fakeEngine) run(c *fakeContainer) {
	if c.asked.Labels[labelContainer] == "ferry" {
		ctx, cancel := contextOf(e.t)
		c.stop = cancel
		go func() {
			_ = ferry.Inside(ctx, c.asked.HostConfig.Mounts[0].Source, nil)
			e.mu.Lock()
			defer e.mu.Unlock()
			c.end(container.State{ExitCode: 1})
		}()
		return
	}
	if e.behave != nil {
		e.behave(c)
	}
}

// end ends a container once. The lock is held.
func (c *fakeContainer) end(s container.State) {
	if c.exit == nil {
		s.Status = "exited"
		c.exit = &s
		close(c.ended)
	}
}

// have puts an image into the registry.
func (e *fakeEngine) have(ref string, config map[string]any) {
	e.registry[ref] = map[string]any{
		"Id": "sha256:image", "RepoDigests": []string{ref}, "Os": "linux", "Architecture": runtime.GOARCH, "Config": config,
	}
}

// tasks are the containers that are no ferries.
func (e *fakeEngine) tasks() []*fakeContainer {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*fakeContainer
	for _, c := range e.containers {
		if c.asked.Labels[labelContainer] != "ferry" {
			out = append(out, c)
		}
	}
	return out
}

func (e *fakeEngine) connect() *Engine {
	e.t.Helper()
	got, err := Connect(e.t.Context(), "unix://"+e.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	return got
}
