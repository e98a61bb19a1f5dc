//go:build mage

// Slipway's commands. They live in platform/kit/targets; `go tool mage -l` lists them.
package main

import (
	//mage:import
	_ "github.com/slipway-dev/slipway/platform/kit/targets"
)
