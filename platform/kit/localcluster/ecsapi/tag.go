package ecsapi

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// maxTags is how many tags a resource can have.
const maxTags = 50

func (a *service) tagResource(ctx context.Context, in *ecs.TagResourceInput) (*ecs.TagResourceOutput, error) {
	if len(in.Tags) > maxTags {
		return nil, ecserr.Invalid("A resource can have at most %d tags.", maxTags)
	}
	for _, tag := range in.Tags {
		if key := aws.ToString(tag.Key); key == "" || strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, ecserr.Invalid("Tag keys cannot be empty or start with 'aws:'.")
		}
	}
	if err := a.sched.ChangeTags(ctx, aws.ToString(in.ResourceArn), in.Tags, nil); err != nil {
		return nil, err
	}
	return &ecs.TagResourceOutput{}, nil
}

func (a *service) untagResource(ctx context.Context, in *ecs.UntagResourceInput) (*ecs.UntagResourceOutput, error) {
	if err := a.sched.ChangeTags(ctx, aws.ToString(in.ResourceArn), nil, in.TagKeys); err != nil {
		return nil, err
	}
	return &ecs.UntagResourceOutput{}, nil
}

func (a *service) listTagsForResource(_ context.Context, in *ecs.ListTagsForResourceInput) (*ecs.ListTagsForResourceOutput, error) {
	tags, err := a.sched.Tags(aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	return &ecs.ListTagsForResourceOutput{Tags: append([]types.Tag{}, tags...)}, nil
}
