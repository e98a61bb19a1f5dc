//go:build unix && !linux

package process

import "syscall"

// attributes puts a process into a group of its own, as the given user. Without
// a parent death signal, what a crash leaves is ended by Recover or Sweep.
func attributes(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred}
}
