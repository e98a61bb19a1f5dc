package ecsapi

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func client(format string, args ...any) error {
	return &types.ClientException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func unsupported(what string) error {
	return &types.UnsupportedFeatureException{Message: aws.String(what + " is not available on this cluster.")}
}

// missing is the entry of a describe call for what is not there.
func missing(arn string) types.Failure {
	return types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")}
}

// last is the part of a name or an ARN after the last slash.
func last(name string) string { return name[strings.LastIndex(name, "/")+1:] }

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
