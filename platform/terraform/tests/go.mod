module github.com/slipway-dev/slipway/platform/terraform/tests

go 1.26.0

replace github.com/slipway-dev/slipway/platform/kit => ../../kit

require (
	github.com/google/go-cmp v0.7.0
	github.com/hashicorp/go-version v1.9.0
	github.com/hashicorp/terraform-exec v0.26.0
	github.com/slipway-dev/slipway/platform/kit v0.0.0-00010101000000-000000000000
)

require (
	github.com/apparentlymart/go-textseg/v15 v15.0.0 // indirect
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/hashicorp/terraform-json v0.29.0 // indirect
	github.com/zclconf/go-cty v1.18.1 // indirect
	golang.org/x/text v0.43.0 // indirect
)
