package ecr

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

// open finds a repository and its images.
func (s *Service) open(name *string) (*record, Images, error) {
	images, err := s.store()
	if err != nil {
		return nil, nil, err
	}
	r, err := s.find(name)
	return r, images, err
}

// DescribeImages describes the images asked for, or a page of all, newest
// first. NextToken is the last digest of the page before.
func (s *Service) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
	r, details, limit, err := s.list(in.RepositoryName, in.MaxResults)
	if err != nil {
		return nil, err
	}
	if len(in.ImageIds) > 0 {
		if details, err = s.choose(r, details, in.ImageIds); err != nil {
			return nil, err
		}
		limit = len(details)
	}
	if in.Filter != nil {
		details = filter(details, in.Filter.TagStatus)
	}
	page, next, err := paginate(details, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &ecr.DescribeImagesOutput{ImageDetails: []types.ImageDetail{}, NextToken: next}
	for _, d := range page {
		detail := types.ImageDetail{
			RegistryId: &s.account, RepositoryName: &r.Name, ImageDigest: &d.Digest, ImageTags: d.Tags,
			ImagePushedAt: &d.PushedAt, ImageSizeInBytes: &d.SizeBytes, ImageManifestMediaType: &d.MediaType,
			ImageStatus: types.ImageStatusActive,
		}
		if d.ArtifactMediaType != "" {
			detail.ArtifactMediaType = &d.ArtifactMediaType
		}
		if d.Subject != "" {
			detail.SubjectManifestDigest = &d.Subject
		}
		out.ImageDetails = append(out.ImageDetails, detail)
	}
	return out, nil
}

func (s *Service) list(name *string, asked *int32) (*record, []registry.ImageDetail, int, error) {
	limit, err := pageSize(asked)
	if err != nil {
		return nil, nil, 0, err
	}
	r, images, err := s.open(name)
	if err != nil {
		return nil, nil, 0, err
	}
	details, err := images.Manifests(r.Name)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("list images: %w", err)
	}
	return r, details, limit, nil
}

// choose finds the images with the ids, each of which must exist.
func (s *Service) choose(r *record, details []registry.ImageDetail, ids []types.ImageIdentifier) ([]registry.ImageDetail, error) {
	var out []registry.ImageDetail
	for _, id := range ids {
		at := slices.IndexFunc(details, func(d registry.ImageDetail) bool {
			return (id.ImageDigest == nil || *id.ImageDigest == d.Digest) && (id.ImageTag == nil || slices.Contains(d.Tags, *id.ImageTag))
		})
		if at < 0 {
			return nil, &types.ImageNotFoundException{Message: aws.String(fmt.Sprintf(
				"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
				orNull(id.ImageDigest), orNull(id.ImageTag), r.Name, s.account))}
		}
		out = append(out, details[at])
	}
	return out, nil
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func filter(details []registry.ImageDetail, status types.TagStatus) []registry.ImageDetail {
	return slices.DeleteFunc(details, func(d registry.ImageDetail) bool {
		return status == types.TagStatusTagged && len(d.Tags) == 0 || status == types.TagStatusUntagged && len(d.Tags) > 0
	})
}

func paginate(details []registry.ImageDetail, token *string, limit int) (page []registry.ImageDetail, next *string, err error) {
	if token != nil {
		at := slices.IndexFunc(details, func(d registry.ImageDetail) bool { return d.Digest == *token })
		if at < 0 {
			return nil, nil, invalid("Invalid parameter at 'nextToken'")
		}
		details = details[at+1:]
	}
	if len(details) > limit {
		return details[:limit], &details[limit-1].Digest, nil
	}
	return details, nil, nil
}

// ListImages lists the ids of images: one for each tag, or the digest alone
// of an image without tags.
func (s *Service) ListImages(_ context.Context, in *ecr.ListImagesInput) (*ecr.ListImagesOutput, error) {
	_, details, limit, err := s.list(in.RepositoryName, in.MaxResults)
	if err != nil {
		return nil, err
	}
	if in.Filter != nil {
		details = filter(details, in.Filter.TagStatus)
	}
	page, next, err := paginate(details, in.NextToken, limit)
	if err != nil {
		return nil, err
	}
	out := &ecr.ListImagesOutput{ImageIds: []types.ImageIdentifier{}, NextToken: next}
	for _, d := range page {
		if len(d.Tags) == 0 {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: &d.Digest})
		}
		for _, tag := range d.Tags {
			out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: &d.Digest, ImageTag: &tag})
		}
	}
	return out, nil
}

// BatchGetImage reads manifests by tag or digest; those that are not there
// are among the failures.
func (s *Service) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput) (*ecr.BatchGetImageOutput, error) {
	r, images, err := s.open(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchGetImageOutput{Images: []types.Image{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		m, failure, err := lookup(images, r.Name, id)
		switch {
		case err != nil:
			return nil, err
		case failure != nil:
			out.Failures = append(out.Failures, *failure)
		default:
			out.Images = append(out.Images, *s.image(r, m, id.ImageTag))
		}
	}
	return out, nil
}

func (s *Service) image(r *record, m registry.Manifest, tag *string) *types.Image {
	return &types.Image{
		RegistryId: &s.account, RepositoryName: &r.Name, ImageManifest: aws.String(string(m.Content)),
		ImageManifestMediaType: &m.MediaType, ImageId: &types.ImageIdentifier{ImageDigest: &m.Digest, ImageTag: tag},
	}
}

// lookup reads the manifest that an id means, or says why there is none.
func lookup(images Images, repository string, id types.ImageIdentifier) (registry.Manifest, *types.ImageFailure, error) {
	fail := func(code types.ImageFailureCode, reason string) (registry.Manifest, *types.ImageFailure, error) {
		return registry.Manifest{}, &types.ImageFailure{FailureCode: code, FailureReason: &reason, ImageId: &id}, nil
	}
	reference := aws.ToString(id.ImageTag)
	if reference == "" {
		reference = aws.ToString(id.ImageDigest)
	}
	if reference == "" {
		return fail(types.ImageFailureCodeMissingDigestAndTag, "Invalid request parameters: both tag and digest cannot be null")
	}
	m, err := images.Manifest(repository, reference)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return fail(types.ImageFailureCodeImageNotFound, "Requested image not found")
	case err != nil:
		return registry.Manifest{}, nil, fmt.Errorf("read image: %w", err)
	case id.ImageDigest != nil && *id.ImageDigest != m.Digest:
		return fail(types.ImageFailureCodeImageTagDoesNotMatchDigest, "Tag does not match digest")
	}
	return m, nil, nil
}

// BatchDeleteImage removes images by digest, or tags. The image of a tag goes
// with its last tag.
func (s *Service) BatchDeleteImage(_ context.Context, in *ecr.BatchDeleteImageInput) (*ecr.BatchDeleteImageOutput, error) {
	r, images, err := s.open(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.BatchDeleteImageOutput{ImageIds: []types.ImageIdentifier{}, Failures: []types.ImageFailure{}}
	for _, id := range in.ImageIds {
		m, failure, err := lookup(images, r.Name, id)
		if err != nil {
			return nil, err
		}
		if failure != nil {
			out.Failures = append(out.Failures, *failure)
			continue
		}
		if err := remove(images, r.Name, m.Digest, id.ImageTag); err != nil {
			return nil, fmt.Errorf("delete image: %w", err)
		}
		out.ImageIds = append(out.ImageIds, types.ImageIdentifier{ImageDigest: &m.Digest, ImageTag: id.ImageTag})
	}
	return out, nil
}

func remove(images Images, repository, digest string, tag *string) error {
	if tag == nil {
		return images.DeleteManifest(repository, digest)
	}
	details, err := images.Manifests(repository)
	if err != nil {
		return err
	}
	for _, d := range details {
		if d.Digest == digest && len(d.Tags) <= 1 {
			return images.DeleteManifest(repository, digest)
		}
	}
	return images.DeleteManifest(repository, *tag)
}

// PutImage stores a manifest whose layers have been pushed, under a tag if
// one is given.
func (s *Service) PutImage(_ context.Context, in *ecr.PutImageInput) (*ecr.PutImageOutput, error) {
	r, images, err := s.open(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	tag, content := aws.ToString(in.ImageTag), []byte(aws.ToString(in.ImageManifest))
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); in.ImageDigest != nil && *in.ImageDigest != sum {
		return nil, &types.ImageDigestDoesNotMatchException{Message: aws.String("The digest of the manifest is " + sum)}
	}
	if tag != "" {
		old, err := images.Manifest(r.Name, tag)
		switch {
		case errors.Is(err, registry.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("read image: %w", err)
		case string(old.Content) == string(content):
			return nil, &types.ImageAlreadyExistsException{Message: aws.String(fmt.Sprintf(
				"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
				old.Digest, tag, r.Name, s.account))}
		case r.Mutability == types.ImageTagMutabilityImmutable:
			return nil, &types.ImageTagAlreadyExistsException{Message: aws.String(fmt.Sprintf(
				"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", tag, r.Name))}
		}
	}
	digest, err := images.PutManifest(r.Name, tag, mediaType(in.ImageManifestMediaType, content), content)
	var refused ociregistry.Error
	switch {
	case errors.As(err, &refused) && refused.Code() == ociregistry.ErrManifestBlobUnknown.Code():
		return nil, &types.LayersNotFoundException{Message: aws.String(err.Error())}
	case errors.As(err, &refused):
		return nil, invalid("Invalid parameter at 'imageManifest': " + err.Error())
	case err != nil:
		return nil, fmt.Errorf("store image: %w", err)
	}
	m, err := images.Manifest(r.Name, digest)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	return &ecr.PutImageOutput{Image: s.image(r, m, in.ImageTag)}, nil
}

// mediaType is the one given, else the one that the manifest gives itself.
func mediaType(given *string, content []byte) string {
	if given != nil {
		return *given
	}
	var manifest struct{ MediaType string }
	if err := json.Unmarshal(content, &manifest); err != nil || manifest.MediaType == "" {
		return "application/vnd.oci.image.manifest.v1+json"
	}
	return manifest.MediaType
}
