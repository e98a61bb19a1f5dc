//go:build !linux

package mesh

import "net"

// identify knows nobody: there is no /proc to look into.
func identify(_, _ *net.TCPAddr, _ []Process) identity { return identity{} }
