// Package targets holds the commands that mage lists. Each one decodes its
// arguments, calls a package that does the work, and turns the outcome into
// text and an exit code; no decision is made here.
//
// The first argument of most is the environment (local, staging, production),
// the second a service or "all". Options follow: --json, --plan, --since=5m.
// Exit codes: 0 completed, 1 failed, 2 wrong use or manifest, 3 rolled back,
// 4 superseded, 5 timed out, 130 interrupted.
package targets
