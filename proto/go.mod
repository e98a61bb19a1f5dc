module github.com/slipway-dev/slipway/proto

go 1.26.0
