package ecr

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// CreateRepository makes an empty repository.
func (s *Service) CreateRepository(_ context.Context, in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
	name := aws.ToString(in.RepositoryName)
	const part = `[a-z0-9]+(?:[._-]+[a-z0-9]+)*`
	if len(name) < 2 || len(name) > 256 || !regexp.MustCompile(`^(?:`+part+`/)*`+part+`$`).MatchString(name) {
		return nil, invalid(fmt.Sprintf("Invalid parameter at 'repositoryName': '%s' is not a repository name", name))
	}
	r := record{
		Name: name, Created: s.clock.Now().UTC(), Mutability: in.ImageTagMutability, Scanning: in.ImageScanningConfiguration,
		Encryption: in.EncryptionConfiguration, Tags: in.Tags,
	}
	if r.Mutability == "" {
		r.Mutability = types.ImageTagMutabilityMutable
	}
	if r.Scanning == nil {
		r.Scanning = &types.ImageScanningConfiguration{}
	}
	if r.Encryption == nil {
		r.Encryption = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256}
	}
	err := s.state.Update(func(tx *state.Tx) error {
		var old record
		found, err := tx.Get(repositories, name, &old)
		if err != nil {
			return fmt.Errorf("read repository: %w", err)
		}
		if found {
			return &types.RepositoryAlreadyExistsException{Message: aws.String(fmt.Sprintf(
				"The repository with name '%s' already exists in the registry with id '%s'", name, s.account))}
		}
		return tx.Put(repositories, name, r)
	})
	if err != nil {
		return nil, err
	}
	return &ecr.CreateRepositoryOutput{Repository: s.repository(&r)}, nil
}

// DeleteRepository removes a repository; one with images only with Force.
func (s *Service) DeleteRepository(_ context.Context, in *ecr.DeleteRepositoryInput) (*ecr.DeleteRepositoryOutput, error) {
	images, err := s.store()
	if err != nil {
		return nil, err
	}
	r, err := s.find(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	details, err := images.Manifests(r.Name)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	if len(details) > 0 && !in.Force {
		return nil, &types.RepositoryNotEmptyException{Message: aws.String(fmt.Sprintf(
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", r.Name, s.account))}
	}
	// The record goes first: without it nothing is served or pushed.
	if err := s.state.Update(func(tx *state.Tx) error { return tx.Delete(repositories, r.Name) }); err != nil {
		return nil, err
	}
	if err := images.DeleteRepository(r.Name); err != nil {
		return nil, err
	}
	return &ecr.DeleteRepositoryOutput{Repository: s.repository(r)}, nil
}

// DescribeRepositories lists repositories: those named, or all by name.
// NextToken is the last name of the page before.
func (s *Service) DescribeRepositories(_ context.Context, in *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
	limit, err := pageSize(in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	if len(in.RepositoryNames) > 0 {
		for _, name := range in.RepositoryNames {
			r, err := s.find(&name)
			if err != nil {
				return nil, err
			}
			out.Repositories = append(out.Repositories, *s.repository(r))
		}
		return out, nil
	}
	records, err := s.all()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Name <= aws.ToString(in.NextToken) {
			continue
		}
		if len(out.Repositories) == limit {
			out.NextToken = out.Repositories[limit-1].RepositoryName
			break
		}
		out.Repositories = append(out.Repositories, *s.repository(&r))
	}
	return out, nil
}

func pageSize(asked *int32) (int, error) {
	if asked == nil {
		return 100, nil
	}
	if *asked < 1 || *asked > 1000 {
		return 0, invalid("Invalid parameter at 'maxResults': it must be between 1 and 1000")
	}
	return int(*asked), nil
}

// PutImageTagMutability says whether tags may move.
func (s *Service) PutImageTagMutability(_ context.Context, in *ecr.PutImageTagMutabilityInput) (*ecr.PutImageTagMutabilityOutput, error) {
	if in.ImageTagMutability != types.ImageTagMutabilityMutable && in.ImageTagMutability != types.ImageTagMutabilityImmutable {
		return nil, invalid("Invalid parameter at 'imageTagMutability': the local cluster has MUTABLE and IMMUTABLE")
	}
	r, err := s.change(in.RepositoryName, func(r *record) { r.Mutability = in.ImageTagMutability })
	if err != nil {
		return nil, err
	}
	return &ecr.PutImageTagMutabilityOutput{RepositoryName: &r.Name, RegistryId: &s.account, ImageTagMutability: r.Mutability}, nil
}

// TagResource adds tags to a repository, named by its ARN.
func (s *Service) TagResource(_ context.Context, in *ecr.TagResourceInput) (*ecr.TagResourceOutput, error) {
	_, err := s.change(s.named(in.ResourceArn), func(r *record) {
		for _, tag := range in.Tags {
			r.untag(aws.ToString(tag.Key))
			r.Tags = append(r.Tags, tag)
		}
	})
	return &ecr.TagResourceOutput{}, err
}

// UntagResource removes tags of a repository by key.
func (s *Service) UntagResource(_ context.Context, in *ecr.UntagResourceInput) (*ecr.UntagResourceOutput, error) {
	_, err := s.change(s.named(in.ResourceArn), func(r *record) {
		for _, key := range in.TagKeys {
			r.untag(key)
		}
	})
	return &ecr.UntagResourceOutput{}, err
}

// ListTagsForResource lists the tags of a repository.
func (s *Service) ListTagsForResource(_ context.Context, in *ecr.ListTagsForResourceInput) (*ecr.ListTagsForResourceOutput, error) {
	r, err := s.find(s.named(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	return &ecr.ListTagsForResourceOutput{Tags: append([]types.Tag{}, r.Tags...)}, nil
}

func (r *record) untag(key string) {
	r.Tags = slices.DeleteFunc(r.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == key })
}

func (s *Service) named(arn *string) *string {
	name := strings.TrimPrefix(aws.ToString(arn), s.prefix)
	return &name
}
