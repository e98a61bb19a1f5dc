// Package e2e walks through Slipway as a newcomer does: it copies the checkout,
// types the commands of the README and looks at what they print, answer and
// leave behind. The tests start real clusters, so they carry the build tag e2e
// and run by `go tool mage e2e`.
package e2e
