// Package ecserr makes the exceptions of the Amazon ECS API.
package ecserr

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Invalid is InvalidParameterException: a parameter that ECS would not take.
func Invalid(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// Client is ClientException: a request that cannot be met as asked.
func Client(format string, args ...any) error {
	return &types.ClientException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// Server is ServerException: the cluster cannot answer now.
func Server(format string, args ...any) error {
	return &types.ServerException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// Unsupported is UnsupportedFeatureException: what is not available on this cluster.
func Unsupported(format string, args ...any) error {
	return &types.UnsupportedFeatureException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// NoCluster is ClusterNotFoundException.
func NoCluster() error {
	return &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
}

// NoService is ServiceNotFoundException.
func NoService() error {
	return &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
}

// ServiceNotActive is ServiceNotActiveException.
func ServiceNotActive() error {
	return &types.ServiceNotActiveException{Message: aws.String("Service was not ACTIVE.")}
}

// NoServiceDeployment is ServiceDeploymentNotFoundException.
func NoServiceDeployment(arn string) error {
	return &types.ServiceDeploymentNotFoundException{Message: aws.String("No service deployment " + arn + " was found.")}
}

// Conflict is ConflictException: the state of the resource forbids it.
func Conflict(format string, args ...any) error {
	return &types.ConflictException{Message: aws.String(fmt.Sprintf(format, args...))}
}
