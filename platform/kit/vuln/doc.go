// Package vuln finds out what is known against the binaries of a release: it
// reads a database in the format of vuln.go.dev, has govulncheck judge what is
// in a binary, and decides by an environment's rules whether the release may
// run. The standard library is judged by the toolchain that built the binary.
//
// A [Database] is a URL, a folder, a zip file, or the copy that [Fetch] made. A
// scan asks it for its index first and then only for what concerns the versions
// in the binary. Reports are kept by image and database, and attached to the
// image with a signature, so the same question is answered once.
//
// Why binaries, and why stripped ones can be judged:
// docs/decisions/2026-11-23-vulnerability-gate.md. The package neither builds
// images nor signs.
package vuln
