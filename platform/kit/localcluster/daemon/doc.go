// Package daemon starts, finds and stops the embedded cluster as a background
// process. Starter and started talk over a pipe until the cluster is ready or
// has said why it cannot be; from then on the file cluster.json in the state
// folder says where the cluster listens.
package daemon
