// Package tests proves the Terraform of the platform without an AWS account:
// every module is formatted, valid and tested with a mocked provider, and what
// Terraform reads out of the manifests is what the deploy kit reads.
//
// The tests need Terraform on PATH and the AWS provider, from the registry or
// from the mirror folder in SLIPWAY_TERRAFORM_MIRROR, and are therefore behind
// the build tag terraform: `go tool mage test` sets it where both can be had.
package tests
