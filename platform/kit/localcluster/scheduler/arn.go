package scheduler

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// arn builds an ECS ARN from the resource part.
func (s *Scheduler) arn(resource string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s", s.cfg.Region, s.cfg.Account, resource)
}

// resource splits an ECS ARN into its kind and the parts after it:
// "arn:aws:ecs:R:A:task/c/id" is "task", ["c", "id"].
func resource(arn string) (kind string, parts []string, ok bool) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "ecs" {
		return "", nil, false
	}
	all := strings.Split(fields[5], "/")
	return all[0], all[1:], len(all) > 1
}

// last is the part of an ARN or a path after the last slash.
func last(name string) string { return name[strings.LastIndex(name, "/")+1:] }

func (s *Scheduler) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.cfg.IDs, b); err != nil {
		// The random source of the operating system does not fail.
		panic(fmt.Sprintf("read random bytes: %v", err))
	}
	return b
}

// hexID is a task id: 32 hex digits.
func (s *Scheduler) hexID() string { return hex.EncodeToString(s.random(16)) }

// number is 19 decimal digits, as in deployment and revision ids.
func (s *Scheduler) number() string {
	const low, span = 1_000_000_000_000_000_000, 8_000_000_000_000_000_000
	return fmt.Sprint(low + binary.BigEndian.Uint64(s.random(8))%span)
}

// rolloutID is a service deployment id: 21 URL-safe characters.
func (s *Scheduler) rolloutID() string {
	return base64.RawURLEncoding.EncodeToString(s.random(16))[:21]
}

// uuid is a random UUID (RFC 9562 version 4).
func (s *Scheduler) uuid() string {
	b := s.random(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
