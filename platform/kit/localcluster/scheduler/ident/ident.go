// Package ident makes the names that ECS gives its resources: ARNs and ids.
package ident

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Namer names the resources of one account in one region.
type Namer struct {
	// Account has 12 digits.
	Account, Region string
	// Random is where ids come from; its failure is fatal.
	Random io.Reader
}

// ARN builds an ECS ARN from the resource part: "cluster/c".
func (n Namer) ARN(resource string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s", n.Region, n.Account, resource)
}

// Task is a task id: 32 hex digits.
func (n Namer) Task() string { return hex.EncodeToString(n.random(16)) }

// Number is 19 decimal digits, as in deployment and revision ids.
func (n Namer) Number() string {
	const low, span = 1_000_000_000_000_000_000, 8_000_000_000_000_000_000
	return strconv.FormatUint(low+binary.BigEndian.Uint64(n.random(8))%span, 10)
}

// ServiceDeployment is a service deployment id: 21 URL-safe characters.
func (n Namer) ServiceDeployment() string {
	return base64.RawURLEncoding.EncodeToString(n.random(16))[:21]
}

// UUID is a random UUID (RFC 9562, version 4).
func (n Namer) UUID() string {
	b := n.random(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (n Namer) random(size int) []byte {
	b := make([]byte, size)
	if _, err := io.ReadFull(n.Random, b); err != nil {
		// The random source of the operating system does not fail.
		panic(fmt.Sprintf("read random bytes: %v", err))
	}
	return b
}

// Resource splits an ECS ARN into its kind and the parts after it:
// "arn:aws:ecs:R:A:task/c/id" is "task", ["c", "id"].
func Resource(arn string) (kind string, parts []string, ok bool) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "ecs" {
		return "", nil, false
	}
	all := strings.Split(fields[5], "/")
	return all[0], all[1:], len(all) > 1
}

// Last is the part of an ARN or a path after the last slash: a resource may be
// called by its name or its ARN.
func Last(name string) string { return name[strings.LastIndex(name, "/")+1:] }
