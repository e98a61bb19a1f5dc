package process

import "syscall"

// attributes puts a process into a group of its own, as the given user, and has
// the kernel kill it when the cluster dies.
func attributes(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred, Pdeathsig: syscall.SIGKILL}
}
