// Package check holds the mechanisms behind the repository policy: it reads a
// source tree once and answers what in it breaks a rule. The rules themselves,
// and what is excused from them, are in the tests of package policy; here every
// mechanism is proved on small trees that break it. It judges form only: what
// the compiler or a linter already says is left to them.
package check
