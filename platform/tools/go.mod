module github.com/slipway-dev/slipway/platform/tools

go 1.26.0
