package wire_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

var (
	ecsProtocol     = wire.Protocol{Target: "AmazonEC2ContainerServiceV20141113", Signing: "ecs"}
	ecrProtocol     = wire.Protocol{Target: "AmazonEC2ContainerRegistry_V20150921", Signing: "ecr"}
	logsProtocol    = wire.Protocol{Target: "Logs_20140328", Signing: "logs"}
	secretsProtocol = wire.Protocol{Target: "secretsmanager", Signing: "secretsmanager", Names: wire.Pascal}
	ssmProtocol     = wire.Protocol{Target: "AmazonSSM", Signing: "ssm", Names: wire.Pascal}
)

func serve(t *testing.T, apis ...wire.API) aws.Config {
	t.Helper()
	server := httptest.NewServer(wire.NewHandler(apis...))
	t.Cleanup(server.Close)
	return config(server.URL)
}

func config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
}

// TestClientRoundTrip sends random inputs with the SDK's client, checks what
// the operation got, answers at random and checks what the client got.
func TestClientRoundTrip(t *testing.T) {
	t.Parallel()
	var (
		gotInput *ecs.RegisterTaskDefinitionInput
		answer   *ecs.RegisterTaskDefinitionOutput
	)
	client := ecs.NewFromConfig(serve(t, wire.API{Protocol: ecsProtocol, Operations: map[string]wire.Operation{
		"RegisterTaskDefinition": wire.Op(func(_ context.Context, in *ecs.RegisterTaskDefinitionInput) (*ecs.RegisterTaskDefinitionOutput, error) {
			gotInput = in
			return answer, nil
		}),
	}}))
	full := &ecs.RegisterTaskDefinitionInput{}
	fill(reflect.ValueOf(full).Elem(), 9)
	answer = &ecs.RegisterTaskDefinitionOutput{}
	fill(reflect.ValueOf(answer).Elem(), 9)
	check := func(t interface {
		Fatal(args ...any)
		Fatalf(format string, args ...any)
	}, in *ecs.RegisterTaskDefinitionInput,
	) {
		got, err := client.RegisterTaskDefinition(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, gotInput, equal()); diff != "" {
			t.Fatalf("input (-sent +received):\n%s", diff)
		}
		if diff := cmp.Diff(answer, got, equal()); diff != "" {
			t.Fatalf("output (-answered +received):\n%s", diff)
		}
	}
	check(t, full)
	rapid.Check(t, func(t *rapid.T) {
		in := &ecs.RegisterTaskDefinitionInput{}
		randomise(t, reflect.ValueOf(in).Elem(), 7)
		in.Family, in.ContainerDefinitions = aws.String("f"), append(in.ContainerDefinitions, ecstypes.ContainerDefinition{})
		answer = &ecs.RegisterTaskDefinitionOutput{}
		randomise(t, reflect.ValueOf(answer).Elem(), 7)
		// What the client insists on is not random.
		if err := validates(client, in); err != nil {
			return
		}
		check(t, in)
	})
}

// validates asks the client's own checks of required members.
func validates(client *ecs.Client, in *ecs.RegisterTaskDefinitionInput) error {
	_, err := client.RegisterTaskDefinition(context.Background(), in)
	if _, ok := errors.AsType[smithy.InvalidParamsError](err); ok {
		return err
	}
	return nil
}

func TestErrors(t *testing.T) {
	t.Parallel()
	fail := map[string]error{
		"ecs": &ecstypes.ClusterNotFoundException{Message: aws.String("Cluster not found.")},
		"ecr": &ecrtypes.RepositoryNotFoundException{Message: aws.String("no such repository")},
		"sm":  &secrettypes.ResourceNotFoundException{Message: aws.String("can't find it")},
		"ssm": &ssmtypes.ParameterNotFound{Message: aws.String("not there")},
	}
	config := serve(t,
		wire.API{Protocol: ecsProtocol, Operations: map[string]wire.Operation{
			"ListTasks":    failing[ecs.ListTasksInput, ecs.ListTasksOutput](fail["ecs"]),
			"ListClusters": failing[ecs.ListClustersInput, ecs.ListClustersOutput](&smithy.GenericAPIError{Code: "Odd", Message: "odd", Fault: smithy.FaultServer}),
			"StopTask":     failing[ecs.StopTaskInput, ecs.StopTaskOutput](errors.New("disk on fire")),
			"RunTask": wire.Op(func(context.Context, *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
				panic("boom")
			}),
		}},
		wire.API{Protocol: ecrProtocol, Operations: map[string]wire.Operation{
			"ListImages": failing[ecr.ListImagesInput, ecr.ListImagesOutput](fail["ecr"]),
		}},
		wire.API{Protocol: secretsProtocol, Operations: map[string]wire.Operation{
			"GetSecretValue": failing[secretsmanager.GetSecretValueInput, secretsmanager.GetSecretValueOutput](fail["sm"]),
		}},
		wire.API{Protocol: ssmProtocol, Operations: map[string]wire.Operation{
			"GetParameter": failing[ssm.GetParameterInput, ssm.GetParameterOutput](fail["ssm"]),
		}},
	)
	ctx := context.Background()
	ecsClient := ecs.NewFromConfig(config)
	_, err := ecsClient.ListTasks(ctx, &ecs.ListTasksInput{})
	var cluster *ecstypes.ClusterNotFoundException
	if !errors.As(err, &cluster) || cluster.ErrorMessage() != "Cluster not found." {
		t.Errorf("ecs: got %v", err)
	}
	_, err = ecr.NewFromConfig(config).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("x")})
	var repository *ecrtypes.RepositoryNotFoundException
	if !errors.As(err, &repository) || repository.ErrorMessage() != "no such repository" {
		t.Errorf("ecr: got %v", err)
	}
	_, err = secretsmanager.NewFromConfig(config).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
	var secret *secrettypes.ResourceNotFoundException
	if !errors.As(err, &secret) || secret.ErrorMessage() != "can't find it" {
		t.Errorf("secretsmanager: got %v", err)
	}
	_, err = ssm.NewFromConfig(config).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("x")})
	var parameter *ssmtypes.ParameterNotFound
	if !errors.As(err, &parameter) || parameter.ErrorMessage() != "not there" {
		t.Errorf("ssm: got %v", err)
	}
	for name, c := range map[string]struct {
		err        error
		code, text string
	}{
		"generic":  {second(ecsClient.ListClusters(ctx, &ecs.ListClustersInput{})), "Odd", "odd"},
		"plain":    {second(ecsClient.StopTask(ctx, &ecs.StopTaskInput{Task: aws.String("t")})), "InternalFailure", "disk on fire"},
		"panic":    {second(ecsClient.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("t")})), "InternalFailure", "panicked"},
		"unknown":  {second(ecsClient.ListServices(ctx, &ecs.ListServicesInput{})), "UnknownOperationException", "ListServices of ecs"},
		"no logs":  {second(cloudwatchlogs.NewFromConfig(config).DescribeLogGroups(ctx, nil)), "UnknownOperationException", "DescribeLogGroups of logs"},
		"required": {second(ecs.NewFromConfig(config).ListTasks(ctx, &ecs.ListTasksInput{})), "ClusterNotFoundException", ""},
	} {
		var api smithy.APIError
		if !errors.As(c.err, &api) || api.ErrorCode() != c.code || !strings.Contains(api.ErrorMessage(), c.text) {
			t.Errorf("%s: got %v, want %s: %s", name, c.err, c.code, c.text)
		}
	}
}

func failing[I, O any](err error) wire.Operation {
	return wire.Op(func(context.Context, *I) (*O, error) { return nil, err })
}

func second[T any](_ T, err error) error { return err }

func TestRequests(t *testing.T) {
	t.Parallel()
	const signed = "AWS4-HMAC-SHA256 Credential=local/20260102/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00"
	var got *ecs.ListTasksInput
	var log bytes.Buffer
	handler, err := wire.New(wire.Config{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		APIs: []wire.API{{Protocol: ecsProtocol, Operations: map[string]wire.Operation{
			"ListTasks": wire.Op(func(_ context.Context, in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
				got = in
				return nil, nil
			}),
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"cluster":"zipped"}`))
	_ = z.Close()
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	_, _ = io.CopyN(z, zeros{}, 32<<20)
	_ = z.Close()

	cases := map[string]struct {
		method, host, path, target, auth, kind, encoding, body string
		status                                                 int
		want                                                   string
	}{
		"good":               {body: `{"cluster":"a"}`, status: 200, want: "{}"},
		"no body":            {status: 200, want: "{}"},
		"localhost":          {host: "localhost:4510", status: 200, want: "{}"},
		"subdomain":          {host: "ecs.localhost:4510", status: 200, want: "{}"},
		"ipv6":               {host: "[::1]:4510", status: 200, want: "{}"},
		"zipped":             {encoding: "gzip", body: zipped.String(), status: 200, want: "{}"},
		"rebinding":          {host: "evil.example:4510", status: 403, want: "AccessDeniedException"},
		"rebinding by name":  {host: "127.0.0.1.evil.example", status: 403, want: "AccessDeniedException"},
		"get":                {method: http.MethodGet, status: 404, want: "UnknownOperationException"},
		"path":               {path: "/x", status: 404, want: "UnknownOperationException"},
		"unsigned":           {auth: "-", status: 403, want: "MissingAuthenticationTokenException"},
		"basic":              {auth: "Basic eDp5", status: 403, want: "IncompleteSignatureException"},
		"short scope":        {auth: "AWS4-HMAC-SHA256 Credential=a/ecs/aws4_request", status: 403, want: "IncompleteSignatureException"},
		"no credential":      {auth: "AWS4-HMAC-SHA256 Signature=a", status: 403, want: "IncompleteSignatureException"},
		"signed for another": {auth: strings.Replace(signed, "/ecs/", "/ecr/", 1), status: 400, want: "Credential should be scoped to correct service: 'ecs'."},
		"unknown operation":  {target: "AmazonEC2ContainerServiceV20141113.Nope", status: 400, want: "UnknownOperationException"},
		"no target":          {target: "-", status: 400, want: "UnknownOperationException"},
		"bad JSON":           {body: `{`, status: 400, want: "SerializationException"},
		"bad type":           {body: `{"cluster":1}`, status: 400, want: "cluster: the number 1 where a string"},
		"not gzip":           {encoding: "gzip", body: "{}", status: 400, want: "SerializationException"},
		"large":              {body: strings.Repeat(" ", 17<<20), status: 413, want: "RequestEntityTooLargeException"},
		"bomb":               {encoding: "gzip", body: bomb.String(), status: 413, want: "RequestEntityTooLargeException"},
		"form": {
			target: "-", kind: "application/x-www-form-urlencoded; charset=utf-8", body: "Action=GetCallerIdentity",
			auth: strings.Replace(signed, "/ecs/", "/sts/", 1), status: 400, want: "<Code>InvalidAction</Code>",
		},
	}
	for name, c := range cases {
		request := httptest.NewRequest(or(c.method, http.MethodPost), or(c.path, "/"), strings.NewReader(c.body))
		request.Host = or(c.host, "127.0.0.1:4510")
		for header, value := range map[string]string{
			"X-Amz-Target":     or(c.target, "AmazonEC2ContainerServiceV20141113.ListTasks"),
			"Authorization":    or(c.auth, signed),
			"Content-Type":     or(c.kind, "application/x-amz-json-1.1"),
			"Content-Encoding": or(c.encoding, "-"),
		} {
			if value != "-" {
				request.Header.Set(header, value)
			}
		}
		got = nil
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		body := recorder.Body.String()
		if recorder.Code != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s, want %d %s", name, recorder.Code, body, c.status, c.want)
		}
		if called := got != nil; called != (c.status == http.StatusOK) {
			t.Errorf("%s: called: %t", name, called)
		}
		if recorder.Header().Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: no request id", name)
		}
		if name == "zipped" && (got.Cluster == nil || *got.Cluster != "zipped") {
			t.Errorf("zipped: got %+v", got)
		}
	}
	if !strings.Contains(log.String(), "target=AmazonEC2ContainerServiceV20141113.ListTasks status=200") {
		t.Errorf("the log has no request: %s", log.String())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, apis := range map[string][]wire.API{
		"twice":   {{Protocol: ecsProtocol}, {Protocol: ecsProtocol}},
		"no name": {{}},
	} {
		if _, err := wire.New(wire.Config{APIs: apis}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := wire.New(wire.Config{APIs: []wire.API{{Protocol: logsProtocol}}}); err != nil {
		t.Error(err)
	}
}
