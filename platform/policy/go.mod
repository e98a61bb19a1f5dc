module github.com/slipway-dev/slipway/platform/policy

go 1.26.0
