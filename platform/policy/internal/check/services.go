package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Service is what a manifest says of a service, as far as rules depend on it.
// Whether the manifest holds otherwise is for the deploy kit to say.
type Service struct {
	Name  string   `yaml:"name"`
	Team  string   `yaml:"team"`
	Calls []string `yaml:"calls"`
	HTTP  struct {
		Routes []string `yaml:"routes"`
	} `yaml:"http"`
	GRPC struct {
		Service string `yaml:"service"`
	} `yaml:"grpc"`

	// Dir is the folder of the manifest.
	Dir string `yaml:"-"`
}

// Proto is the folder of the service's API below the proto module, without its
// version: slipway/orders for slipway.orders.v1.OrderService. It is empty for a
// service without gRPC.
func (s Service) Proto() string {
	parts := strings.Split(s.GRPC.Service, ".")
	if len(parts) < 3 {
		return ""
	}
	return strings.Join(parts[:len(parts)-2], "/")
}

// Services reads the manifests below services/, in the order of their folders.
// What cannot be read is a finding.
func Services(t *Tree) ([]Service, []Finding) {
	var services []Service
	var found []Finding
	for _, p := range t.Paths() {
		dir, ok := strings.CutSuffix(p, "/service.yaml")
		if !ok || path.Dir(dir) != "services" {
			continue
		}
		s := Service{Dir: dir}
		if err := yaml.Unmarshal(t.Files[p], &s); err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			found = append(found, Finding{File: p, What: "cannot be read: " + line, Mend: "correct the file; `go tool mage doctor` says what is wrong with it"})
			continue
		}
		services = append(services, s)
	}
	return services, found
}

// parts are what a folder below services/ must hold, and why.
var parts = []struct{ file, why string }{
	{"service.yaml", "the manifest is how the platform finds a service"},
	{"README.md", "whoever is called at night starts there"},
	{"go.mod", "each service is a module of its own"},
	{"cmd/NAME/main.go", "the image is built of it"},
}

// ServiceParts wants every folder below services/ to be a whole service, named
// as its folder, with its API in the proto module.
func ServiceParts(t *Tree) []Finding {
	services, found := Services(t)
	for _, s := range services {
		if s.Name != path.Base(s.Dir) {
			found = append(found, Finding{
				File: s.Dir + "/service.yaml", What: "names the service " + s.Name,
				Mend: "call it " + path.Base(s.Dir) + ", as its folder",
			})
		}
		if dir := s.Proto(); dir != "" && !t.exists("proto/"+dir) {
			found = append(found, Finding{
				File: s.Dir + "/service.yaml", What: "serves " + s.GRPC.Service + ", and there is no proto/" + dir,
				Mend: "correct grpc.service, or add the API there",
			})
		}
	}
	for _, dir := range folders(t, "services") {
		for _, part := range parts {
			file := path.Join("services", dir, strings.ReplaceAll(part.file, "NAME", dir))
			if !t.exists(file) {
				found = append(found, Finding{File: file, What: "is missing", Mend: "add it: " + part.why})
			}
		}
	}
	return sorted(found)
}

// folders lists the names of the folders directly below one.
func folders(t *Tree, parent string) []string {
	var names []string
	for _, p := range t.Paths() {
		if rest, ok := strings.CutPrefix(p, parent+"/"); ok {
			if name, _, nested := strings.Cut(rest, "/"); nested {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reaches reports whether one of a load balancer's path patterns takes a path:
// * stands for any characters, ? for one.
func reaches(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return wildcard(pattern, p) })
}

func wildcard(pattern, text string) bool {
	for pattern != "" {
		switch {
		case pattern[0] == '*':
			for i := len(text); i >= 0; i-- {
				if wildcard(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		case text == "", pattern[0] != '?' && pattern[0] != text[0]:
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

// unreached says that no route of a service leads to a method.
func unreached(s Service, method, p string) string {
	return fmt.Sprintf("%s answers at %s, and no route in %s/service.yaml leads there: %s",
		method, p, s.Dir, strings.Join(s.HTTP.Routes, ", "))
}
