// Package policy keeps the repository's rules as tests: who may import whom,
// how large things get, how modules agree, what text and which calls stay out.
// Each rule says why it is there, each exception too, and a rule or exception
// that no longer applies fails like a broken one. The mechanisms are in
// internal/check. There is no code here for a program to import.
package policy
