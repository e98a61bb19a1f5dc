package ecsapi

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// missing is the entry of a describe call for what is not there.
func missing(arn string) types.Failure {
	return types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")}
}

// present names the first part of a request that asks for what is not
// available, or "".
func present(parts map[string]bool) string {
	first := ""
	for name, set := range parts {
		if set && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
