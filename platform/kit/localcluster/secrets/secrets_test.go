package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/parameters"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/secrets"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

type bundle struct {
	*secretsmanager.Client

	clock    *clockwork.FakeClock
	store    *secrets.Store
	params   *parameters.Store
	resolver *secrets.Resolver
}

func setup(t *testing.T) bundle {
	t.Helper()
	db, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := bundle{clock: clockwork.NewFakeClock()}
	b.store, err = secrets.New(secrets.Config{State: db, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.params, err = parameters.New(parameters.Config{State: db, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.resolver = secrets.NewResolver(b.store, b.params)
	server := httptest.NewServer(wire.NewHandler(b.store.API()))
	t.Cleanup(server.Close)
	b.Client = secretsmanager.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	return b
}

func (b bundle) create(t *testing.T, name, value string) string {
	t.Helper()
	out, err := b.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ARN
}

func (b bundle) value(t *testing.T, id, stage string) string {
	t.Helper()
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	if stage != "" {
		in.VersionStage = &stage
	}
	out, err := b.GetSecretValue(t.Context(), in)
	if err != nil {
		return codeOf(err)
	}
	return *out.SecretString
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	arn := b.create(t, "slipway/local/catalog/database", "v")
	if !regexp.MustCompile(`^arn:aws:secretsmanager:us-east-1:000000000000:secret:slipway/local/catalog/database-[A-Za-z]{6}$`).MatchString(arn) {
		t.Fatalf("got ARN %s", arn)
	}
	// A name that looks as if it had an ARN's random end.
	b.create(t, "odd-abcdef", "odd")
	partial := arn[:len(arn)-7]
	for id, want := range map[string]string{
		"slipway/local/catalog/database": "v",
		arn:                              "v",
		partial:                          "v",
		arn[:len(arn)-1] + "0":           "ResourceNotFoundException",
		strings.Replace(arn, "us-east-1", "x", 1): "ResourceNotFoundException",
		"slipway/local/catalog":                   "ResourceNotFoundException",
		"odd-abcdef":                              "odd",
		strings.Replace(partial, "slipway/local/catalog/database", "odd-abcdef", 1): "odd",
		"odd":  "ResourceNotFoundException",
		"arn:": "ResourceNotFoundException",
	} {
		if got := b.value(t, id, ""); got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	id := b.create(t, "s", "one")
	put := func(value, token string, stages ...string) string {
		out, err := b.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &id, SecretString: &value, ClientRequestToken: &token, VersionStages: stages,
		})
		if err != nil {
			return codeOf(err)
		}
		return *out.VersionId
	}
	const a, b2, c = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
	expect := func(what, current, previous string) {
		t.Helper()
		if got := b.value(t, id, ""); got != current {
			t.Errorf("%s: current is %s, want %s", what, got, current)
		}
		if got := b.value(t, id, "AWSPREVIOUS"); got != previous {
			t.Errorf("%s: previous is %s, want %s", what, got, previous)
		}
	}
	expect("created", "one", "ResourceNotFoundException")
	put("two", a)
	expect("put", "two", "one")
	put("three", b2)
	expect("put again", "three", "two")
	if got := put("three", b2); got != b2 {
		t.Errorf("a repeated request: %s", got)
	}
	expect("repeated", "three", "two")
	if got := put("other", b2); got != "ResourceExistsException" {
		t.Errorf("a token for two values: %s", got)
	}
	put("four", c, "candidate")
	expect("staged", "three", "two")
	if got := b.value(t, id, "candidate"); got != "four" {
		t.Errorf("candidate is %s", got)
	}
	got, err := b.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil || len(got.VersionIdsToStages) != 3 || got.VersionIdsToStages[c][0] != "candidate" {
		t.Errorf("got %v, %v", got.VersionIdsToStages, err)
	}
	if _, err := b.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &id, Description: aws.String("d"), SecretString: aws.String("five")}); err != nil {
		t.Error(err)
	}
	expect("update", "five", "three")
	byID, err := b.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: aws.String(a)})
	if err != nil || *byID.SecretString != "two" {
		t.Errorf("by id: %v, %v", byID, err)
	}
	_, err = b.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: aws.String(a), VersionStage: aws.String("AWSCURRENT")})
	if codeOf(err) != "InvalidRequestException" {
		t.Errorf("id and stage that differ: %v", err)
	}
}

// TestOneVersionIsCurrent holds over any puts: each stage is on one version.
func TestOneVersionIsCurrent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		ctx, name := context.Background(), fmt.Sprintf("s%d", n)
		if _, err := b.store.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("0")}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"AWSCURRENT": "0"}
		for i := range rapid.IntRange(1, 6).Draw(t, "puts") {
			stages := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"AWSCURRENT", "x", "y"}), 0, 3, rapid.ID).Draw(t, "stages")
			value := fmt.Sprint(i + 1)
			if _, err := b.store.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value, VersionStages: stages}); err != nil {
				t.Fatal(err)
			}
			if len(stages) == 0 {
				stages = []string{"AWSCURRENT"}
			}
			for _, stage := range stages {
				if stage == "AWSCURRENT" {
					want["AWSPREVIOUS"] = want["AWSCURRENT"]
				}
				want[stage] = value
			}
		}
		for stage, value := range want {
			got, err := b.store.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage})
			if err != nil || *got.SecretString != value {
				t.Fatalf("%s: got %v, %v, want %s", stage, got, err, value)
			}
		}
		described, err := b.store.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, stages := range described.VersionIdsToStages {
			for _, stage := range stages {
				if seen[stage] {
					t.Fatalf("two versions are %s", stage)
				}
				seen[stage] = true
			}
		}
	})
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	first := b.create(t, "s", "v")
	del := func(in secretsmanager.DeleteSecretInput) string {
		in.SecretId = aws.String("s")
		return codeOf(second(b.DeleteSecret(ctx, &in)))
	}
	create := func() string {
		return codeOf(second(b.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: aws.String("w")})))
	}
	if got := create(); got != "ResourceExistsException" {
		t.Errorf("twice: %s", got)
	}
	if got := del(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(6)}); got != "InvalidParameterException" {
		t.Errorf("6 days: %s", got)
	}
	if got := del(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)}); got != "<nil>" {
		t.Errorf("7 days: %s", got)
	}
	if got := b.value(t, "s", ""); got != "InvalidRequestException" {
		t.Errorf("read while marked: %s", got)
	}
	if got := create(); got != "InvalidRequestException" {
		t.Errorf("create while marked: %s", got)
	}
	if _, err := b.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &first}); err != nil || b.value(t, "s", "") != "v" {
		t.Errorf("restore: %v", err)
	}
	del(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)})
	b.clock.Advance(7 * 24 * time.Hour)
	if got := b.value(t, "s", ""); got != "ResourceNotFoundException" {
		t.Errorf("after the window: %s", got)
	}
	if again := b.create(t, "s", "w"); again == first {
		t.Error("a new secret has the old ARN")
	}
	if got := del(secretsmanager.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)}); got != "<nil>" {
		t.Errorf("force: %s", got)
	}
	if got := create(); got != "<nil>" {
		t.Errorf("create after force: %s", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestListAndTags(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for i := range 5 {
		b.create(t, fmt.Sprintf("team%d/s%d", i%2, i), "v")
	}
	if _, err := b.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("team0/s2"), Tags: []types.Tag{
		{Key: aws.String("env"), Value: aws.String("local")}, {Key: aws.String("gone"), Value: aws.String("x")},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: aws.String("team0/s2"), TagKeys: []string{"gone"}}); err != nil {
		t.Fatal(err)
	}
	list := func(filters ...types.Filter) string {
		var names []string
		pages := secretsmanager.NewListSecretsPaginator(b.Client, &secretsmanager.ListSecretsInput{Filters: filters, MaxResults: aws.Int32(2)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.SecretList {
				names = append(names, strings.TrimPrefix(*s.Name, "team"))
			}
		}
		return strings.Join(names, " ")
	}
	for want, filters := range map[string][]types.Filter{
		"0/s0 0/s2 0/s4 1/s1 1/s3": nil,
		"1/s1 1/s3":                {{Key: types.FilterNameStringTypeName, Values: []string{"team1"}}},
		"0/s0 0/s2 0/s4":           {{Key: types.FilterNameStringTypeName, Values: []string{"!team1"}}},
		"0/s2":                     {{Key: types.FilterNameStringTypeTagKey, Values: []string{"env"}}, {Key: types.FilterNameStringTypeTagValue, Values: []string{"loc"}}},
		"":                         {{Key: types.FilterNameStringTypeTagKey, Values: []string{"gone"}}},
	} {
		if got := list(filters...); got != want {
			t.Errorf("%v: got %q, want %q", filters, got, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for name, in := range map[string]*secretsmanager.CreateSecretInput{
		"name":  {Name: aws.String("a b")},
		"both":  {Name: aws.String("a"), SecretString: aws.String("x"), SecretBinary: []byte("x")},
		"large": {Name: aws.String("a"), SecretString: aws.String(strings.Repeat("x", 65537))},
	} {
		if _, err := b.CreateSecret(ctx, in); codeOf(err) != "InvalidParameterException" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	arn := b.create(t, "slipway/local/catalog/database", `{"username":"u","port":5432,"nested":{"a":1}}`)
	second := `{"username":"u2"}`
	out, err := b.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &second})
	if err != nil {
		t.Fatal(err)
	}
	plain := b.create(t, "plain", "text")
	if _, err := b.store.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.params.PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String("/slipway/key"), Value: aws.String("p"), Type: ssmtypes.ParameterTypeSecureString,
	}); err != nil {
		t.Fatal(err)
	}
	const asm = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: "
	for valueFrom, want := range map[string]string{
		arn:                            "{\"username\":\"u2\"}",
		arn + ":username::":            "u2",
		arn + ":username":              "u2",
		arn + ":username:AWSPREVIOUS:": "u",
		arn + ":port:AWSPREVIOUS:":     "5432",
		arn + ":nested:AWSPREVIOUS:":   `{"a":1}`,
		arn + ":::" + *out.VersionId:   "{\"username\":\"u2\"}",
		plain:                          "text",
		plain[:len(plain)-7]:           "text",
		"binary":                       "raw",
		"slipway/local/catalog/database:username": "u2",
		"/slipway/key": "p",
		"arn:aws:ssm:us-east-1:000000000000:parameter/slipway/key": "p",

		arn + ":nope::":       asm + "service call has been retried 1 time(s): retrieved secret from Secrets Manager did not contain json key nope",
		plain + ":key::":      asm + "service call has been retried 1 time(s): retrieved secret from Secrets Manager is not a JSON object",
		arn + "x":             asm + "service call has been retried 1 time(s): failed to fetch secret " + arn + "x from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
		arn + ":a:b:c:d":      "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unexpected ARN format",
		"/missing":            "unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /missing",
		"arn:aws:s3:::bucket": "the ARN arn:aws:s3:::bucket is neither",
	} {
		got, err := b.resolver.Resolve(ctx, valueFrom)
		if err != nil {
			got = err.Error()
			if !strings.HasPrefix(got, "ResourceInitializationError: ") {
				t.Errorf("%s: %s", valueFrom, got)
			}
			if strings.Contains(got, want) {
				continue
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", valueFrom, got, want)
		}
	}
}
