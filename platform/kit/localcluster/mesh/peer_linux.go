package mesh

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
)

// identify finds the process whose socket has the addresses remote (its own)
// and local (ours), by way of the socket's inode: /proc/net/tcp has it by
// addresses, /proc/PID/fd names the sockets that a process holds (proc(5)).
func identify(remote, local *net.TCPAddr, tasks []Process) identity {
	inode, err := inodeOf(remote, local)
	if err != nil {
		return identity{} // no /proc here
	}
	if inode == "" {
		return identity{known: true} // the connection is gone already
	}
	denied := false
	for i, task := range tasks {
		has, err := holds(task.PID, inode)
		if has {
			return identity{known: true, process: &tasks[i]}
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
	}
	groups := map[int]*Process{}
	for i := range tasks {
		groups[tasks[i].PID] = &tasks[i]
	}
	children, err := members(groups)
	if err != nil {
		return identity{}
	}
	for pid, task := range children {
		if has, _ := holds(pid, inode); has { // one that has ended holds nothing
			return identity{known: true, process: task}
		}
	}
	// Without the right to look into every task nobody can be called a stranger.
	return identity{known: !denied}
}

// inodeOf returns the inode of the socket with these addresses; "" when there
// is none.
func inodeOf(own, other *net.TCPAddr) (string, error) {
	for _, table := range []struct {
		file string
		form func(*net.TCPAddr) string
	}{{"/proc/net/tcp", address4}, {"/proc/net/tcp6", address6}} {
		f, err := os.Open(table.file)
		if errors.Is(err, fs.ErrNotExist) && table.file == "/proc/net/tcp6" {
			continue // IPv6 is switched off
		}
		if err != nil {
			return "", fmt.Errorf("read sockets: %w", err)
		}
		inode, err := find(f, table.form(own), table.form(other))
		_ = f.Close() // it was only read
		if inode != "" || err != nil {
			return inode, err
		}
	}
	return "", nil
}

// find reads a table of sockets: local_address is field 1, rem_address 2, inode 9.
func find(f *os.File, own, other string) (string, error) {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(own)) {
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[1] == own && fields[2] == other && fields[9] != "0" {
			return fields[9], nil
		}
	}
	return "", lines.Err()
}

// address4 is the address as /proc/net/tcp has it: the bytes of the machine's
// word in hexadecimal.
func address4(a *net.TCPAddr) string {
	ip := a.IP.To4()
	if ip == nil {
		ip = make(net.IP, net.IPv4len)
	}
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip), a.Port)
}

// address6 is the address as /proc/net/tcp6 has it: four such words.
func address6(a *net.TCPAddr) string {
	ip := a.IP.To16()
	if ip == nil {
		ip = make(net.IP, net.IPv6len)
	}
	var b strings.Builder
	for i := 0; i < net.IPv6len; i += 4 {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(ip[i:]))
	}
	return fmt.Sprintf("%s:%04X", b.String(), a.Port)
}

// holds reports whether the process has the socket open.
func holds(pid int, inode string) (bool, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	want := "socket:[" + inode + "]"
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil && target == want {
			return true, nil
		}
	}
	return false, nil
}

// members lists the processes that belong to the groups and do not lead them.
func members(groups map[int]*Process) (map[int]*Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	out := map[int]*Process{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || groups[pid] != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The second field is a name in parentheses and may hold anything; the
		// process group is field 5 (proc(5)).
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if len(fields) < 3 {
			continue
		}
		if group, err := strconv.Atoi(fields[2]); err == nil && groups[group] != nil {
			out[pid] = groups[group]
		}
	}
	return out, nil
}
