package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-dev/slipway/platform/kit/fargate"
)

// The places that manifests are read from, relative to the root.
const (
	servicesDir     = "services"
	serviceFile     = "service.yaml"
	environmentsDir = "platform/environments"
)

// Load reads all manifests and environment files of the repository at root.
// Its error is an *Error that holds every problem found, or an error of the
// file system.
func Load(root string) (*Workspace, error) {
	w, err := LoadFS(os.DirFS(root))
	if w != nil {
		w.Root = root
	}
	return w, err
}

// LoadFS is [Load] for a file system.
func LoadFS(fsys fs.FS) (*Workspace, error) {
	l := &loader{fsys: fsys, services: map[string]*loaded{}}
	if err := l.readServices(); err != nil {
		return nil, err
	}
	environments, err := l.readEnvironments()
	if err != nil {
		return nil, err
	}
	l.checkAll(environments)
	if len(l.problems) > 0 {
		sortProblems(l.problems)
		return nil, &Error{Problems: slices.Compact(l.problems)}
	}
	w := &Workspace{environments: map[string]Environment{}, Warnings: l.circles()}
	for _, name := range names(l.services) {
		w.Services = append(w.Services, l.services[name].service)
	}
	for _, e := range environments {
		w.environments[e.env.Name] = e.env
	}
	return w, nil
}

// loaded is a service with the places of its values.
type loaded struct {
	service Service
	file    string
	places  map[string]place
}

// loadedEnvironment is an environment with what is needed to apply it.
type loadedEnvironment struct {
	env     Environment
	file    string
	decoder *decoder
	root    ast.Node
}

type loader struct {
	fsys     fs.FS
	services map[string]*loaded // by folder name
	problems []Problem
}

func (l *loader) readServices() error {
	entries, err := fs.ReadDir(l.fsys, servicesDir)
	if errors.Is(err, fs.ErrNotExist) {
		l.problems = append(l.problems, Problem{File: servicesDir, Message: "there is no such folder", Fix: "run the command in the repository's root"})
		return nil
	}
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		dir := path.Join(servicesDir, entry.Name())
		data, err := l.read(path.Join(dir, serviceFile))
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := fs.Stat(l.fsys, path.Join(dir, "go.mod")); err == nil {
				l.problems = append(l.problems, Problem{
					File: dir, Message: "the folder has a Go module and no " + serviceFile,
					Fix: "add " + path.Join(dir, serviceFile) + " beginning with: name: " + entry.Name(),
				})
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read service %s: %w", entry.Name(), err)
		}
		l.readService(dir, entry.Name(), data)
	}
	return nil
}

// read reads a file of a bounded size; a longer one is cut, which parse
// notices.
func (l *loader) read(name string) ([]byte, error) {
	info, err := fs.Stat(l.fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return make([]byte, maxFileBytes+1), nil
	}
	return fs.ReadFile(l.fsys, name)
}

func (l *loader) readService(dir, folder string, data []byte) {
	file := path.Join(dir, serviceFile)
	d := newDecoder(file, &l.problems)
	s := defaultService()
	s.Dir = dir
	if root := d.parse(data); root != nil {
		d.decode(root, reflect.ValueOf(&s).Elem(), "", 0, rules{})
	}
	if s.Name != "" && s.Name != folder {
		d.report(d.places["name"], fmt.Sprintf("name is %q in folder %s", s.Name, folder), fmt.Sprintf("it must be %q", folder))
	}
	s.Name = folder
	settle(&s, d.places)
	l.services[folder] = &loaded{service: s, file: file, places: d.places}
}

func defaultService() Service {
	return Service{
		Size:   Size{CPU: 256, Memory: 512, Arch: ARM64},
		Scale:  Scale{Min: 1, Max: 4},
		Deploy: Deploy{Strategy: Rolling},
	}
}

// defaultBake is the bake time of the strategies that keep the old release
// beside the new one.
const defaultBake = 5

// defaultRatio is the share of requests that is traced where a file does not say.
const defaultRatio = 0.05

// settle fills in the defaults that depend on other values.
func settle(s *Service, places map[string]place) {
	if _, set := places["scale.max"]; !set {
		s.Scale.Max = max(s.Scale.Max, s.Scale.Min)
	}
	if _, set := places["deploy.bake"]; !set {
		s.Deploy.Bake = 0
		if s.Deploy.Strategy != Rolling {
			s.Deploy.Bake = defaultBake * minute
		}
	}
	if _, set := places["size.memory"]; !set {
		if sold := fargate.Memory(s.Size.CPU); len(sold) > 0 && !slices.Contains(sold, s.Size.Memory) {
			s.Size.Memory = sold[0]
		}
	}
}

func (l *loader) readEnvironments() ([]*loadedEnvironment, error) {
	entries, err := fs.ReadDir(l.fsys, environmentsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var list []*loadedEnvironment
	for _, entry := range entries {
		name, isYAML := strings.CutSuffix(entry.Name(), ".yaml")
		if entry.IsDir() || !isYAML {
			continue
		}
		file := path.Join(environmentsDir, entry.Name())
		data, err := l.read(file)
		if err != nil {
			return nil, fmt.Errorf("read environment %s: %w", name, err)
		}
		if e := l.readEnvironment(file, name, data); e != nil {
			list = append(list, e)
		}
	}
	return list, nil
}

func (l *loader) readEnvironment(file, name string, data []byte) *loadedEnvironment {
	d := newDecoder(file, &l.problems)
	root := d.parse(data)
	if root == nil {
		return nil
	}
	env := Environment{Auth: Auth{Audience: "slipway-" + name}, Tracing: Tracing{Ratio: defaultRatio}, SupplyChain: supplyDefaults(name)}
	if name == Local {
		env.Ports = &Ports{Gateway: 8080, AWS: 4510, Postgres: 54510}
	}
	d.decode(root, reflect.ValueOf(&env).Elem(), "", 0, rules{})
	if env.Name != "" && env.Name != name {
		d.report(d.places["name"], fmt.Sprintf("name is %q in file %s", env.Name, path.Base(file)), fmt.Sprintf("it must be %q", name))
	}
	env.Name = name
	if len(env.Platforms) == 0 {
		env.Platforms = []string{"linux/arm64", "linux/amd64"}
		if env.IsLocal() {
			env.Platforms = []string{"host"}
		}
	}
	if env.IsLocal() && env.Endpoint == "" && env.Ports.AWS != 0 {
		env.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", env.Ports.AWS)
	}
	e := &loadedEnvironment{env: env, file: file, decoder: d, root: root}
	checkEnvironment(e)
	return e
}

// apply returns the service as the environment has it, with the places of the
// values, which for overridden ones are in the environment's file.
func (e *loadedEnvironment) apply(base *loaded) *loaded {
	s := base.service
	places := map[string]place{}
	maps.Copy(places, base.places)
	nodes := []ast.Node{child(e.root, "all"), child(child(e.root, "services"), s.Name)}
	for _, node := range nodes {
		if node == nil {
			continue
		}
		var reported []Problem // the first pass over the file told them already
		d := newDecoder(e.file, &reported)
		d.anchors = e.decoder.anchors
		over := Override{Size: &s.Size, Scale: &s.Scale, Deploy: &s.Deploy, Env: s.Env}
		d.decode(node, reflect.ValueOf(&over).Elem(), "", 0, rules{})
		s.Env = over.Env
		delete(d.places, "")
		maps.Copy(places, d.places)
	}
	settle(&s, places)
	return &loaded{service: s, file: e.file, places: places}
}

// child returns the value of a key in a mapping node, or nil.
func child(n ast.Node, key string) ast.Node {
	var entries []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	}
	for _, e := range entries {
		if keyOf(e) == key {
			return e.Value
		}
	}
	return nil
}
