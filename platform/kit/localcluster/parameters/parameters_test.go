package parameters_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/parameters"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

func setup(t *testing.T) *ssm.Client {
	t.Helper()
	db, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := parameters.New(parameters.Config{State: db, Clock: clockwork.NewFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewHandler(store.API()))
	t.Cleanup(server.Close)
	return ssm.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
}

func put(t *testing.T, client *ssm.Client, name, value string) {
	t.Helper()
	_, err := client.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString, Overwrite: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestVersionsAndNames(t *testing.T) {
	t.Parallel()
	client := setup(t)
	put(t, client, "/slipway/local/contract", "one")
	put(t, client, "/slipway/local/contract", "two")
	put(t, client, "short", "s")
	const arn = "arn:aws:ssm:us-east-1:000000000000:parameter"
	for name, want := range map[string]string{
		"/slipway/local/contract":         "two 2 ",
		"/slipway/local/contract:1":       "one 1 :1",
		"/slipway/local/contract:3":       "ParameterVersionNotFound",
		arn + "/slipway/local/contract":   "two 2 ",
		arn + "/slipway/local/contract:1": "one 1 :1",
		arn + "/short":                    "s 1 ",
		"short":                           "s 1 ",
		"/slipway/local":                  "ParameterNotFound",
		"slipway/local/contract":          "ParameterNotFound",
	} {
		out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		got := codeOf(err)
		if err == nil {
			got = fmt.Sprintf("%s %d %s", *out.Parameter.Value, out.Parameter.Version, aws.ToString(out.Parameter.Selector))
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	history, err := client.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/slipway/local/contract")})
	if err != nil || len(history.Parameters) != 2 || *history.Parameters[0].Value != "one" {
		t.Errorf("history: %v, %v", history, err)
	}
	many, err := client.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"short", "nope", "short:9"}})
	if err != nil || len(many.Parameters) != 1 || !slices.Equal(many.InvalidParameters, []string{"nope", "short:9"}) {
		t.Errorf("many: %v, %v", many, err)
	}
}

func TestPutRules(t *testing.T) {
	t.Parallel()
	client := setup(t)
	put(t, client, "/taken", "v")
	text := types.ParameterTypeString
	for name, c := range map[string]struct {
		in   ssm.PutParameterInput
		want string
	}{
		"taken":      {ssm.PutParameterInput{Name: aws.String("/taken"), Value: aws.String("x"), Type: text}, "ParameterAlreadyExists"},
		"no type":    {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String("x")}, "ValidationException"},
		"odd type":   {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String("x"), Type: "Odd"}, "UnsupportedParameterType"},
		"empty":      {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String(""), Type: text}, "ValidationException"},
		"reserved":   {ssm.PutParameterInput{Name: aws.String("/AWS/x"), Value: aws.String("x"), Type: text}, "ValidationException"},
		"letters":    {ssm.PutParameterInput{Name: aws.String("/a b"), Value: aws.String("x"), Type: text}, "ValidationException"},
		"not rooted": {ssm.PutParameterInput{Name: aws.String("a/b"), Value: aws.String("x"), Type: text}, "ValidationException"},
		"deep":       {ssm.PutParameterInput{Name: aws.String(strings.Repeat("/a", 16)), Value: aws.String("x"), Type: text}, "HierarchyLevelLimitExceededException"},
		"large":      {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String(strings.Repeat("x", 4097)), Type: text}, "ValidationException"},
		"huge":       {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String(strings.Repeat("x", 8193)), Type: text, Tier: types.ParameterTierAdvanced}, "ValidationException"},
		"pattern":    {ssm.PutParameterInput{Name: aws.String("/new"), Value: aws.String("x"), Type: text, AllowedPattern: aws.String("^[0-9]+$")}, "ParameterPatternMismatchException"},
		"advanced":   {ssm.PutParameterInput{Name: aws.String("/large"), Value: aws.String(strings.Repeat("x", 8192)), Type: text, Tier: types.ParameterTierIntelligentTiering}, "<nil>"},
		"secret":     {ssm.PutParameterInput{Name: aws.String("/secret"), Value: aws.String("x"), Type: types.ParameterTypeSecureString}, "<nil>"},
	} {
		_, err := client.PutParameter(t.Context(), &c.in)
		if got := codeOf(err); got != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestPathsAndFilters(t *testing.T) {
	t.Parallel()
	client := setup(t)
	for i := range 13 {
		put(t, client, fmt.Sprintf("/a/b/%02d", i), "v")
	}
	put(t, client, "/a/c", "v")
	put(t, client, "/ab", "v")
	if _, err := client.AddTagsToResource(t.Context(), &ssm.AddTagsToResourceInput{
		ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: aws.String("/a/c"),
		Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("local")}},
	}); err != nil {
		t.Fatal(err)
	}
	count := func(path string, recursive bool) int {
		n := 0
		pages := ssm.NewGetParametersByPathPaginator(client, &ssm.GetParametersByPathInput{Path: &path, Recursive: &recursive})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Parameters)
		}
		return n
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      int
	}{{"/a", false, 1}, {"/a/", true, 14}, {"/a/b", false, 13}, {"/", true, 15}, {"/", false, 1}, {"/x", true, 0}} {
		if got := count(c.path, c.recursive); got != c.want {
			t.Errorf("%s, %t: got %d, want %d", c.path, c.recursive, got, c.want)
		}
	}
	for _, c := range []struct {
		filter types.ParameterStringFilter
		want   int
	}{
		{types.ParameterStringFilter{Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{"/a/"}}, 14},
		{types.ParameterStringFilter{Key: aws.String("Name"), Values: []string{"/ab"}}, 1},
		{types.ParameterStringFilter{Key: aws.String("Path"), Option: aws.String("OneLevel"), Values: []string{"/a"}}, 1},
		{types.ParameterStringFilter{Key: aws.String("tag:env"), Values: []string{"local"}}, 1},
		{types.ParameterStringFilter{Key: aws.String("Type"), Values: []string{"SecureString"}}, 0},
	} {
		out, err := client.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{c.filter}})
		if err != nil || len(out.Parameters) != c.want {
			t.Errorf("%v: got %d, %v, want %d", *c.filter.Key, len(out.Parameters), err, c.want)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	client := setup(t)
	put(t, client, "/a", "v")
	put(t, client, "/b", "v")
	if _, err := client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/a")}); err != nil {
		t.Error(err)
	}
	if _, err := client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/a")}); codeOf(err) != "ParameterNotFound" {
		t.Errorf("twice: %v", err)
	}
	out, err := client.DeleteParameters(t.Context(), &ssm.DeleteParametersInput{Names: []string{"/a", "/b"}})
	if err != nil || len(out.DeletedParameters) != 1 || len(out.InvalidParameters) != 1 {
		t.Errorf("many: %v, %v", out, err)
	}
	tags, err := client.ListTagsForResource(t.Context(), &ssm.ListTagsForResourceInput{ResourceId: aws.String("/a"), ResourceType: types.ResourceTypeForTaggingParameter})
	if codeOf(err) != "InvalidResourceId" {
		t.Errorf("tags: %v, %v", tags, err)
	}
}
