package awsx

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// Login returns user name and password for the account's registry; they are
// good for twelve hours (ECR API reference, GetAuthorizationToken).
func (c *Client) Login(ctx context.Context) (user, password string, err error) {
	const what = "log in to the image registry"
	out, err := c.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", "", c.wrap(what, err)
	}
	if len(out.AuthorizationData) == 0 {
		return "", "", c.wrap(what, errors.New("the registry gave no token"))
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", "", c.wrap(what, err)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", c.wrap(what, errors.New("the registry's token has no password"))
	}
	return user, password, nil
}

// RepositoryURI returns where images of a repository are pushed: HOST/NAME.
func (c *Client) RepositoryURI(ctx context.Context, name string) (string, error) {
	out, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if err != nil {
		return "", c.wrap("find repository "+name, err)
	}
	if len(out.Repositories) == 0 {
		return "", c.wrap("find repository "+name, errors.New("the registry does not know it"))
	}
	return aws.ToString(out.Repositories[0].RepositoryUri), nil
}
