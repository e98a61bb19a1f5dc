package scheduler

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func errInvalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func errClient(format string, args ...any) error {
	return &types.ClientException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func errServer(format string, args ...any) error {
	return &types.ServerException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func errUnsupported(format string, args ...any) error {
	return &types.UnsupportedFeatureException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func errNoCluster() error {
	return &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
}

func errNoService() error {
	return &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
}

func errServiceNotActive() error {
	return &types.ServiceNotActiveException{Message: aws.String("Service was not ACTIVE.")}
}

func errNoRollout(arn string) error {
	return &types.ServiceDeploymentNotFoundException{Message: aws.String("No service deployment " + arn + " was found.")}
}

func errConflict(format string, args ...any) error {
	return &types.ConflictException{Message: aws.String(fmt.Sprintf(format, args...))}
}
