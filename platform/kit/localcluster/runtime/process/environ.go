package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// markVariable is in the environment of every process of a runtime; its value
// is the runtime's folder. Sweep finds strays by it.
const markVariable = "SLIPWAY_RUNTIME"

// defaultPath is what container runtimes use where an image names none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// unprivileged runs containers that name no user, or root, when the cluster
// itself is root: a container's root is not the machine's.
const unprivileged = 65532

// variables is an environment in which later values replace earlier ones.
type variables struct {
	order  []string
	values map[string]string
}

func (v *variables) set(name, value string) {
	if _, ok := v.values[name]; !ok {
		v.order = append(v.order, name)
	}
	v.values[name] = value
}

func (v *variables) setAll(pairs []types.KeyValuePair) {
	for _, p := range pairs {
		v.set(aws.ToString(p.Name), aws.ToString(p.Value))
	}
}

// environment is what the container's processes see, and nothing else: defaults,
// the image's variables, the definition's, the override's, secrets, and last
// what only this runtime can know.
func (c *container) environment() []string {
	v := &variables{values: map[string]string{}}
	scratch := filepath.Join(c.run.scratch(), c.name())
	v.set("PATH", defaultPath)
	v.set("HOME", scratch)
	v.set("TMPDIR", scratch)
	for _, kv := range c.image.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		v.set(name, value)
	}
	v.setAll(c.def.Environment)
	v.setAll(c.run.override(c.name()).Environment)
	for _, s := range c.secrets {
		v.set(s[0], s[1])
	}
	c.setOwn(v)
	out := make([]string, 0, len(v.order))
	for _, name := range v.order {
		out = append(out, name+"="+v.values[name])
	}
	return out
}

// setOwn sets the runtime's own variables: where to listen, where the cluster
// is, and where the image's certificates and time zones lie on this machine.
func (c *container) setOwn(v *variables) {
	for name, file := range map[string]string{
		"SSL_CERT_FILE": "etc/ssl/certs/ca-certificates.crt",
		"ZONEINFO":      "usr/share/zoneinfo",
	} {
		path := filepath.Join(c.image.Dir, file)
		if _, err := os.Stat(path); err == nil {
			v.set(name, path)
		}
	}
	v.set("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE")
	v.set("BIND_ADDRESS", "127.0.0.1")
	for _, p := range c.ports {
		v.set(portVariable(p.Name, p.ContainerPort), strconv.Itoa(int(p.HostPort)))
	}
	for name, value := range c.run.rt.cfg.Environment {
		v.set(name, value)
	}
	if c.run.spec.MetadataURI != "" {
		v.set("ECS_CONTAINER_METADATA_URI_V4", c.run.spec.MetadataURI)
	}
	v.set(markVariable, c.run.rt.cfg.Dir)
}

// portVariable names the variable that tells a container its host port:
// HTTP_PORT for the mapping "http", PORT_8080 for one without a name.
func portVariable(name string, containerPort int32) string {
	if name == "" {
		return "PORT_" + strconv.Itoa(int(containerPort))
	}
	upper := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	return upper + "_PORT"
}

func lookupEnv(environ []string, name string) string {
	for _, kv := range environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// credential is the user to run as, nil for the cluster's own. Only root can
// choose. Users are numbers, "uid" or "uid:gid"; names and root become an
// unprivileged user.
func (c *container) credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	user := aws.ToString(c.def.User)
	if user == "" {
		user = c.image.Config.User
	}
	name, group, hasGroup := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil || uid == 0 {
		uid = unprivileged
	}
	gid := uid
	if g, err := strconv.ParseUint(group, 10, 32); hasGroup && err == nil && g != 0 {
		gid = g
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
