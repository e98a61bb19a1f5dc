package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
)

// markVariable is in the environment of every process of a runtime; its value
// is the runtime's folder. Sweep finds strays by it.
const markVariable = "SLIPWAY_RUNTIME"

// unprivileged runs containers that name no user, or root, when the cluster
// itself is root: a container's root is not the machine's.
const unprivileged = 65532

// environment is what the container's processes see, and nothing else. What only
// this runtime can know comes last.
func (d driver) environment(c *lifecycle.Container) *lifecycle.Variables {
	scratch := filepath.Join(d.scratch(c.Task()), c.Name())
	v := c.Variables(map[string]string{"HOME": scratch, "TMPDIR": scratch})
	d.setOwn(c, v)
	return v
}

// setOwn sets the runtime's own variables: where to listen, where the cluster
// is, and where the image's certificates and time zones lie on this machine.
func (d driver) setOwn(c *lifecycle.Container, v *lifecycle.Variables) {
	for name, file := range map[string]string{
		"SSL_CERT_FILE": "etc/ssl/certs/ca-certificates.crt",
		"ZONEINFO":      "usr/share/zoneinfo",
	} {
		path := filepath.Join(c.Image().Dir, file)
		if _, err := os.Stat(path); err == nil {
			v.Set(name, path)
		}
	}
	v.Set("BIND_ADDRESS", "127.0.0.1")
	for _, p := range c.Ports() {
		v.Set(portVariable(p.Name, p.ContainerPort), strconv.Itoa(int(p.HostPort)))
	}
	for name, value := range d.cfg.Environment {
		v.Set(name, value)
	}
	v.Set(markVariable, d.cfg.Dir)
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

// credential is the user to run as, nil for the cluster's own. Only root can
// choose. Users are numbers, "uid" or "uid:gid"; names and root become an
// unprivileged user.
func credential(c *lifecycle.Container) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	user := aws.ToString(c.Definition().User)
	if user == "" {
		user = c.Image().Config.User
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
