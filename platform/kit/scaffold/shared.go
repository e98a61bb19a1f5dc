package scaffold

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Files of the checkout that name every service.
const (
	workFile    = "go.work"
	ownersFile  = ".github/CODEOWNERS"
	openAPIFile = "proto/openapi.yaml"
)

// shared are the files that get a line for the service.
func (n names) shared(root string) ([]File, error) {
	var files []File
	for name, edit := range map[string]func([]byte) ([]byte, error){
		workFile: n.useModule, ownersFile: n.own, openAPIFile: n.document,
	} {
		before, err := os.ReadFile(local(root, name))
		if err != nil {
			return nil, fmt.Errorf("read what services share: %w", err)
		}
		after, err := edit(before)
		if err != nil {
			return nil, fmt.Errorf("edit %s: %w", name, err)
		}
		files = append(files, File{Path: name, Edit: true, content: after, before: before})
	}
	mod, sum, err := n.module(root)
	if err != nil {
		return nil, err
	}
	dir := "services/" + n.Service + "/"
	return append(files, File{Path: dir + "go.mod", content: mod}, File{Path: dir + "go.sum", content: sum}), nil
}

// useModule adds the module to the workspace.
func (n names) useModule(before []byte) ([]byte, error) {
	work, err := modfile.ParseWork(workFile, before, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the file
	}
	if err := work.AddUse("./services/"+n.Service, ""); err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	work.SortBlocks()
	work.Cleanup()
	return modfile.Format(work.Syntax), nil
}

// own adds the owners of the service and of its API, each behind the last line
// of its kind.
func (n names) own(before []byte) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(string(before), "\n"), "\n")
	for _, line := range [][2]string{
		{"/services/" + n.Service + "/", "@slipway-dev/" + n.Team},
		{"/proto/slipway/" + n.Package + "/", "@slipway-dev/" + n.Team + " @slipway-dev/platform"},
	} {
		kind := line[0][:strings.LastIndex(strings.TrimSuffix(line[0], "/"), "/")+1]
		at := len(lines)
		for i, have := range slices.Backward(lines) {
			if strings.HasPrefix(have, kind) {
				at = i + 1
				break
			}
		}
		lines = slices.Insert(lines, at, fmt.Sprintf("%-26s %s", line[0], line[1]))
	}
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// document adds what the OpenAPI document says beyond the protos.
func (n names) document(before []byte) ([]byte, error) {
	file := "slipway/" + n.Package + "/v1/" + n.ProtoFile + ".proto"
	after := slices.Concat(bytes.TrimRight(before, "\n"), []byte(
		"\n    - file: "+file+"\n      option:\n        info: {title: Slipway "+n.Service+", version: v1}\n"))
	var read struct {
		Options struct {
			Files []struct {
				File string `yaml:"file"`
			} `yaml:"file"`
		} `yaml:"openapiOptions"`
	}
	if err := yaml.Unmarshal(after, &read); err != nil {
		return nil, fmt.Errorf("add an entry at the end: %w", err)
	}
	if got := read.Options.Files; len(got) == 0 || got[len(got)-1].File != file {
		return nil, fmt.Errorf("the list of files is not at its end, so %s cannot be added there", file)
	}
	return after, nil
}

// prefix begins the path of every module of the repository.
const prefix = "github.com/slipway-dev/slipway/"

// own are the modules of ours that a service requires.
var own = []string{"platform/serve", "proto"}

// module makes go.mod and go.sum of what the modules that a service stands on,
// and the other services, require: the versions are theirs. What is not needed
// goes when the module is tidied.
func (n names) module(root string) (mod, sum []byte, err error) {
	versions, sums, direct := map[string]string{}, map[string]bool{}, map[string]bool{}
	var goVersion string
	for _, dir := range n.donors(root) {
		data, err := os.ReadFile(local(root, dir+"/go.mod"))
		if err != nil {
			return nil, nil, fmt.Errorf("read versions of modules: %w", err)
		}
		file, err := modfile.Parse(dir+"/go.mod", data, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("read versions of modules: %w", err)
		}
		goVersion = file.Go.Version
		for _, r := range file.Require {
			if semver.Compare(r.Mod.Version, versions[r.Mod.Path]) > 0 {
				versions[r.Mod.Path] = r.Mod.Version
			}
			direct[r.Mod.Path] = direct[r.Mod.Path] || !r.Indirect
		}
		if data, err := os.ReadFile(local(root, dir+"/go.sum")); err == nil {
			for line := range strings.Lines(string(data)) {
				sums[strings.TrimRight(line, "\n")+"\n"] = true
			}
		}
	}
	return n.goMod(goVersion, versions, direct), joined(sums), nil
}

// goMod writes the module file in the order in which ours are written.
func (n names) goMod(goVersion string, versions map[string]string, direct map[string]bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %sservices/%s\n\ngo %s\n\nrequire (\n", prefix, n.Service, goVersion)
	for _, own := range own {
		versions[prefix+own], direct[prefix+own] = "v0.0.0", true
	}
	for _, indirect := range []bool{false, true} { // apart, as the go command keeps them
		for _, path := range slices.Sorted(maps.Keys(versions)) {
			switch {
			case indirect == direct[path]:
			case indirect:
				fmt.Fprintf(&b, "\t%s %s // indirect\n", path, versions[path])
			default:
				fmt.Fprintf(&b, "\t%s %s\n", path, versions[path])
			}
		}
		if !indirect {
			fmt.Fprint(&b, ")\n\nrequire (\n")
		}
	}
	fmt.Fprint(&b, ")\n\nreplace (\n")
	for _, own := range own {
		fmt.Fprintf(&b, "\t%s => ../../%s\n", prefix+own, own)
	}
	fmt.Fprint(&b, ")\n")
	return b.Bytes()
}

// donors are the modules whose versions a new one takes.
func (n names) donors(root string) []string {
	dirs := slices.Clone(own)
	entries, err := os.ReadDir(local(root, "services"))
	if err != nil {
		return dirs
	}
	for _, entry := range entries {
		if _, err := os.Stat(local(root, "services/"+entry.Name()+"/go.mod")); err == nil {
			dirs = append(dirs, "services/"+entry.Name())
		}
	}
	return dirs
}

func joined(lines map[string]bool) []byte {
	return []byte(strings.Join(slices.Sorted(maps.Keys(lines)), ""))
}
