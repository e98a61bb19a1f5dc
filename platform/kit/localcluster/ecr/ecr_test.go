package ecr_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

type bundle struct {
	*awsecr.Client

	clock   *clockwork.FakeClock
	service *ecr.Service
	state   *state.Store
	address string
}

// setup serves the API and the registry at one address, as the cluster does.
func setup(t *testing.T) bundle {
	t.Helper()
	db, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := bundle{clock: clockwork.NewFakeClockAt(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), state: db}
	b.service, err = ecr.New(ecr.Config{State: db, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	images, err := registry.New(registry.Config{
		Dir: t.TempDir(), Authorize: registry.Basic("AWS", b.service.ValidToken),
		RepositoryExists: b.service.Exists, ImmutableTags: b.service.Immutable, Clock: b.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", images)
	mux.Handle("/", wire.NewHandler(b.service.API()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.address = strings.TrimPrefix(server.URL, "http://")
	b.service.Attach(images, b.address)
	b.Client = awsecr.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	return b
}

func (b bundle) create(t *testing.T, repository string) {
	t.Helper()
	if _, err := b.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: &repository}); err != nil {
		t.Fatal(err)
	}
}

func (b bundle) password(t *testing.T) string {
	t.Helper()
	out, err := b.GetAuthorizationToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	password, ok := strings.CutPrefix(string(token), "AWS:")
	if !ok || *out.AuthorizationData[0].ProxyEndpoint != "http://"+b.address || !out.AuthorizationData[0].ExpiresAt.Equal(b.clock.Now().Add(12*time.Hour)) {
		t.Errorf("got %s, %+v", token, out.AuthorizationData[0])
	}
	return password
}

func (b bundle) push(t *testing.T, repository, tag, password string) (string, error) {
	t.Helper()
	image, err := random.Image(500, 2)
	if err != nil {
		t.Fatal(err)
	}
	return b.pushImage(t, image, repository, tag, password)
}

func (b bundle) pushImage(t *testing.T, image v1.Image, repository, tag, password string) (string, error) {
	t.Helper()
	reference, err := name.NewTag(b.address+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String(), remote.Write(reference, image, remote.WithAuth(&authn.Basic{Username: "AWS", Password: password}))
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, "slipway/catalog")
	password := b.password(t)
	for _, bad := range []string{"", "x", password[:len(password)-1] + "_", strings.ToUpper(password), password + "A"} {
		if b.service.ValidToken(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := b.push(t, "slipway/catalog", "v1", "wrong"); err == nil {
		t.Error("a wrong password pushes")
	}
	if _, err := b.push(t, "slipway/catalog", "v1", password); err != nil {
		t.Error(err)
	}
	if _, err := b.push(t, "slipway/missing", "v1", password); err == nil {
		t.Error("a push made a repository")
	}
	again, err := ecr.New(ecr.Config{State: b.state, Clock: b.clock})
	if err != nil || !again.ValidToken(password) {
		t.Errorf("the login does not outlive a restart: %v", err)
	}
	b.clock.Advance(12*time.Hour - time.Second)
	if !b.service.ValidToken(password) {
		t.Error("the login ends early")
	}
	b.clock.Advance(time.Second)
	if b.service.ValidToken(password) {
		t.Error("the login does not end")
	}
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for _, repository := range []string{"slipway/orders", "slipway/catalog", "a1"} {
		b.create(t, repository)
	}
	one, err := b.DescribeRepositories(ctx, &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{"slipway/catalog"}})
	if err != nil {
		t.Fatal(err)
	}
	got := one.Repositories[0]
	if *got.RepositoryUri != b.address+"/slipway/catalog" || *got.RepositoryArn != "arn:aws:ecr:us-east-1:000000000000:repository/slipway/catalog" ||
		got.ImageTagMutability != types.ImageTagMutabilityMutable || !got.CreatedAt.Equal(b.clock.Now()) {
		t.Errorf("got %+v", got)
	}
	var names []string
	pages := awsecr.NewDescribeRepositoriesPaginator(b.Client, &awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Repositories {
			names = append(names, *r.RepositoryName)
		}
	}
	if fmt.Sprint(names) != "[a1 slipway/catalog slipway/orders]" {
		t.Errorf("got %q", names)
	}
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"taken":   {second(b.CreateRepository(ctx, &awsecr.CreateRepositoryInput{RepositoryName: aws.String("a1")})), "RepositoryAlreadyExistsException"},
		"capital": {second(b.CreateRepository(ctx, &awsecr.CreateRepositoryInput{RepositoryName: aws.String("Abc")})), "InvalidParameterException"},
		"dots":    {second(b.CreateRepository(ctx, &awsecr.CreateRepositoryInput{RepositoryName: aws.String("../x")})), "InvalidParameterException"},
		"missing": {second(b.DescribeImages(ctx, &awsecr.DescribeImagesInput{RepositoryName: aws.String("nope")})), "RepositoryNotFoundException"},
		"delete":  {second(b.DeleteRepository(ctx, &awsecr.DeleteRepositoryInput{RepositoryName: aws.String("nope")})), "RepositoryNotFoundException"},
	} {
		if codeOf(c.err) != c.want {
			t.Errorf("%s: got %v, want %s", what, c.err, c.want)
		}
	}
	if _, err := b.TagResource(ctx, &awsecr.TagResourceInput{ResourceArn: got.RepositoryArn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}); err != nil {
		t.Error(err)
	}
	tags, err := b.ListTagsForResource(ctx, &awsecr.ListTagsForResourceInput{ResourceArn: got.RepositoryArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "b" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestImages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	repository := aws.String("slipway/catalog")
	b.create(t, *repository)
	password := b.password(t)
	image, err := random.Image(500, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := b.pushImage(t, image, *repository, "v1", password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pushImage(t, image, *repository, "stable", password); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Minute)
	newer, err := b.push(t, *repository, "v2", password)
	if err != nil {
		t.Fatal(err)
	}
	described, err := b.DescribeImages(ctx, &awsecr.DescribeImagesInput{RepositoryName: repository})
	if err != nil || len(described.ImageDetails) != 2 {
		t.Fatal(described, err)
	}
	first, last := described.ImageDetails[0], described.ImageDetails[1]
	if *first.ImageDigest != newer || *last.ImageDigest != digest || fmt.Sprint(last.ImageTags) != "[stable v1]" || *last.ImageSizeInBytes < 1000 {
		t.Errorf("got %+v", described.ImageDetails)
	}
	byTag, err := b.DescribeImages(ctx, &awsecr.DescribeImagesInput{RepositoryName: repository, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("stable")}}})
	if err != nil || *byTag.ImageDetails[0].ImageDigest != digest {
		t.Errorf("by tag: %+v, %v", byTag, err)
	}
	if _, err := b.DescribeImages(ctx, &awsecr.DescribeImagesInput{RepositoryName: repository, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v9")}}}); codeOf(err) != "ImageNotFoundException" {
		t.Errorf("a missing tag: %v", err)
	}
	raw, _ := image.RawManifest()
	batch, err := b.BatchGetImage(ctx, &awsecr.BatchGetImageInput{RepositoryName: repository, ImageIds: []types.ImageIdentifier{
		{ImageDigest: &digest}, {ImageTag: aws.String("v9")}, {ImageTag: aws.String("v2"), ImageDigest: &digest}, {},
	}})
	if err != nil || len(batch.Images) != 1 || *batch.Images[0].ImageManifest != string(raw) {
		t.Errorf("batch: %+v, %v", batch, err)
	}
	var codes []string
	for _, f := range batch.Failures {
		codes = append(codes, string(f.FailureCode))
	}
	if fmt.Sprint(codes) != "[ImageNotFound ImageTagDoesNotMatchDigest MissingDigestAndTag]" {
		t.Errorf("failures: %q", codes)
	}
	b.retag(t, repository, string(raw), digest)
	b.deleteImages(t, repository, digest)
}

// retag uses PutImage as `aws ecr put-image` does: to give an image a tag.
func (b bundle) retag(t *testing.T, repository *string, manifest, digest string) {
	t.Helper()
	put := func(tag, manifest string) string {
		out, err := b.PutImage(t.Context(), &awsecr.PutImageInput{RepositoryName: repository, ImageTag: &tag, ImageManifest: &manifest})
		if err != nil {
			return codeOf(err)
		}
		return *out.Image.ImageId.ImageDigest
	}
	if got := put("live", manifest); got != digest {
		t.Errorf("retag: %s", got)
	}
	if got := put("live", manifest); got != "ImageAlreadyExistsException" {
		t.Errorf("again: %s", got)
	}
	if got := put("x", strings.Replace(manifest, `"layers":[{"mediaType"`, `"layers":[{"digest":"sha256:`+strings.Repeat("0", 64)+`","size":1,"mediaType":"application/vnd.oci.image.layer.v1.tar"},{"mediaType"`, 1)); got != "LayersNotFoundException" {
		t.Errorf("a missing layer: %s", got)
	}
	if got := put("x", "not a manifest"); got != "InvalidParameterException" {
		t.Errorf("no manifest: %s", got)
	}
	if _, err := b.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{RepositoryName: repository, ImageTagMutability: types.ImageTagMutabilityImmutable}); err != nil {
		t.Error(err)
	}
	if got := put("v2", manifest); got != "ImageTagAlreadyExistsException" {
		t.Errorf("an immutable tag: %s", got)
	}
}

func (b bundle) deleteImages(t *testing.T, repository *string, digest string) {
	t.Helper()
	ctx := t.Context()
	count := func() int {
		out, err := b.ListImages(ctx, &awsecr.ListImagesInput{RepositoryName: repository})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.ImageIds)
	}
	if got := count(); got != 4 {
		t.Errorf("%d ids, want v1 stable live v2", got)
	}
	del := func(id types.ImageIdentifier) int {
		out, err := b.BatchDeleteImage(ctx, &awsecr.BatchDeleteImageInput{RepositoryName: repository, ImageIds: []types.ImageIdentifier{id}})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Failures)
	}
	if del(types.ImageIdentifier{ImageTag: aws.String("v1")}) != 0 || count() != 3 {
		t.Errorf("one tag: %d left", count())
	}
	if del(types.ImageIdentifier{ImageDigest: &digest}) != 0 || count() != 1 {
		t.Errorf("a digest: %d left", count())
	}
	if _, err := b.DeleteRepository(ctx, &awsecr.DeleteRepositoryInput{RepositoryName: repository}); codeOf(err) != "RepositoryNotEmptyException" {
		t.Errorf("a repository with images: %v", err)
	}
	if del(types.ImageIdentifier{ImageTag: aws.String("v2")}) != 0 || count() != 0 {
		t.Errorf("the last tag: %d left", count())
	}
	if _, err := b.DeleteRepository(ctx, &awsecr.DeleteRepositoryInput{RepositoryName: repository, Force: true}); err != nil || b.service.Exists(*repository) {
		t.Errorf("delete: %v", err)
	}
}
