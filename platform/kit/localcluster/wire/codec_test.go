package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// shapes are the input and output structures of every operation of the five
// services, found in the SDK clients' method sets.
func shapes() map[string]map[wire.Case][]reflect.Type {
	clients := map[reflect.Type]wire.Case{
		reflect.TypeFor[*ecs.Client]():            wire.LowerCamel,
		reflect.TypeFor[*ecr.Client]():            wire.LowerCamel,
		reflect.TypeFor[*cloudwatchlogs.Client](): wire.LowerCamel,
		reflect.TypeFor[*secretsmanager.Client](): wire.Pascal,
		reflect.TypeFor[*ssm.Client]():            wire.Pascal,
	}
	found := map[string]map[wire.Case][]reflect.Type{}
	for client, names := range clients {
		var types []reflect.Type
		for method := range client.Methods() {
			call := method.Type
			if call.NumIn() == 4 && call.NumOut() == 2 {
				types = append(types, call.In(2).Elem(), call.Out(0).Elem())
			}
		}
		found[client.String()] = map[wire.Case][]reflect.Type{names: types}
	}
	return found
}

// TestSpellingIsTheSDKs sets every member of every input and output of five
// services and compares the JSON of Marshal with that of the SDK.
func TestSpellingIsTheSDKs(t *testing.T) {
	t.Parallel()
	for client, byCase := range shapes() {
		for names, types := range byCase {
			if len(types) < 40 {
				t.Errorf("%s: only %d structures", client, len(types))
			}
			for _, shape := range types {
				v := reflect.New(shape)
				fill(v.Elem(), 5)
				raw, err := wire.Marshal(v.Interface(), names)
				if err != nil {
					t.Errorf("%s: %v", shape, err)
					continue
				}
				got, want := tree(t, raw), tree(t, sdkEncode(t, v.Interface().(smithy.Serializable)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-SDK +wire):\n%s", shape, diff)
				}
			}
		}
	}
}

func tree(t *testing.T, raw []byte) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCodecAgreesWithSDK fills structures at random and checks that the SDK
// reads what Marshal writes, and Unmarshal what the SDK writes.
func TestCodecAgreesWithSDK(t *testing.T) {
	t.Parallel()
	for client, byCase := range shapes() {
		for names, types := range byCase {
			t.Run(client, rapid.MakeCheck(func(t *rapid.T) {
				shape := rapid.SampledFrom(types).Draw(t, "type")
				want := reflect.New(shape)
				randomise(t, want.Elem(), 5)

				got := reflect.New(shape)
				if err := wire.Unmarshal(sdkEncode(t, want.Interface().(smithy.Serializable)), got.Interface(), names); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.Interface(), got.Interface(), equal()); diff != "" {
					t.Fatalf("the SDK, then Unmarshal (-want +got):\n%s", diff)
				}

				raw, err := wire.Marshal(want.Interface(), names)
				if err != nil {
					t.Fatal(err)
				}
				got = reflect.New(shape)
				readable, isOutput := reflect.TypeAssert[smithy.Deserializable](got)
				if !isOutput {
					return
				}
				if err := sdkDecode(raw, readable); err != nil {
					t.Fatalf("the SDK does not read %s: %v", raw, err)
				}
				if diff := cmp.Diff(want.Interface(), got.Interface(), equal()); diff != "" {
					t.Fatalf("Marshal, then the SDK (-want +got):\n%s", diff)
				}
			}))
		}
	}
}

func protocol() *awsjson.Protocol { return awsjson.New11(schemas.AmazonEC2ContainerServiceV20141113) }

func operation() *smithy.OperationSchema {
	return smithy.NewOperationSchema(schemas.DescribeServices, schemas.DescribeServicesRequest, schemas.DescribeServicesResponse)
}

func sdkDecode(raw []byte, v smithy.Deserializable) error {
	response := &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(raw))}}
	return protocol().DeserializeResponse(context.Background(), operation(), nil, response, v)
}

func sdkEncode(t interface{ Fatal(...any) }, v smithy.Serializable) []byte {
	request := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := protocol().SerializeRequest(context.Background(), operation(), v, request); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(request.GetStream())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestUnionsAndDocuments(t *testing.T) {
	t.Parallel()
	const hook = `{"hookDetails":{"stage":"canary","tries":3},"hookTargetArn":"arn:aws:lambda:x"}`
	var got ecstypes.DeploymentLifecycleHook
	if err := wire.Unmarshal([]byte(hook), &got, wire.LowerCamel); err != nil {
		t.Fatal(err)
	}
	raw, err := wire.Marshal(&got, wire.LowerCamel)
	if err != nil || string(raw) != hook {
		t.Errorf("document came back as %s, %v", raw, err)
	}

	union := &ecstypes.ContainerDefinition{
		Name: aws.String("a"),
		ResourceRequirements: []ecstypes.ResourceRequirement{{
			Type: ecstypes.ResourceTypeGpu,
			SharingStrategy: &ecstypes.SharingStrategyMemberNvidiaMps{
				Value: ecstypes.NvidiaMpsAllocation{Memory: aws.Int32(4096)},
			},
		}},
	}
	raw, err = wire.Marshal(union, wire.LowerCamel)
	if want := `"sharingStrategy":{"nvidiaMps":{"memory":4096}}`; err != nil || !strings.Contains(string(raw), want) {
		t.Fatalf("got %s, %v, want %s", raw, err, want)
	}
	var back ecstypes.ContainerDefinition
	if err := wire.Unmarshal(raw, &back, wire.LowerCamel); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(union, &back, equal()); diff != "" {
		t.Error(diff)
	}
}

func TestMarshalKeepsZeroNumbers(t *testing.T) {
	t.Parallel()
	raw, err := wire.Marshal(&ecs.DescribeServicesOutput{
		Failures: []ecstypes.Failure{},
		Services: []ecstypes.Service{{ServiceName: aws.String("a<b>"), CreatedAt: aws.Time(time.UnixMilli(1700000000123))}},
	}, wire.LowerCamel)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"failures":[]`, `"desiredCount":0`, `"serviceName":"a<b>"`, `"createdAt":1700000000.123`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in %s", want, raw)
		}
	}
	if strings.Contains(string(raw), "launchType") || strings.Contains(string(raw), "esultMetadata") {
		t.Errorf("unset members in %s", raw)
	}
}

func TestUnmarshalNamesThePlace(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"wrong type":   {`{"containerDefinitions":[{"cpu":"256"}]}`, "containerDefinitions[0].cpu: a string where an integer of 32 bits is expected"},
		"overflow":     {`{"containerDefinitions":[{"cpu":2147483648}]}`, "containerDefinitions[0].cpu: the number 2147483648"},
		"fraction":     {`{"containerDefinitions":[{"cpu":1.5}]}`, "the number 1.5 where an integer"},
		"not a list":   {`{"containerDefinitions":{}}`, "containerDefinitions: an object where a list"},
		"not a struct": {`{"containerDefinitions":[1]}`, "containerDefinitions[0]: the number 1 where an object"},
		"map value":    {`{"containerDefinitions":[{"dockerLabels":{"a":true}}]}`, `dockerLabels["a"]: a boolean where a string`},
		"top":          {`[]`, "request: a list where an object"},
		"cut off":      {`{"family":`, "read JSON"},
		"two values":   {`{} {}`, "something follows"},
	}
	for name, c := range cases {
		var in ecs.RegisterTaskDefinitionInput
		err := wire.Unmarshal([]byte(c.in), &in, wire.LowerCamel)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestUnmarshalAccepts(t *testing.T) {
	t.Parallel()
	var in ecs.RegisterTaskDefinitionInput
	err := wire.Unmarshal([]byte(`{"family":"f","someday":{"x":[1]},"tags":null,"containerDefinitions":[{"cpu":2.0,"essential":false}]}`),
		&in, wire.LowerCamel)
	if err != nil || *in.Family != "f" || in.Tags != nil || in.ContainerDefinitions[0].Cpu != 2 || *in.ContainerDefinitions[0].Essential {
		t.Errorf("got %+v, %v", in, err)
	}
	var at struct{ At time.Time }
	for _, text := range []string{`{"at":1700000000.5}`, `{"at":"2023-11-14T22:13:20.5Z"}`} {
		if err := wire.Unmarshal([]byte(text), &at, wire.LowerCamel); err != nil || at.At.UnixMilli() != 1700000000500 {
			t.Errorf("%s: got %v, %v", text, at.At, err)
		}
	}
	var f struct{ F float64 }
	if err := wire.Unmarshal([]byte(`{"f":"-Infinity"}`), &f, wire.LowerCamel); err != nil || !math.IsInf(f.F, -1) {
		t.Errorf("got %v, %v", f.F, err)
	}
	raw, err := wire.Marshal(f, wire.LowerCamel)
	if err != nil || string(raw) != `{"f":"-Infinity"}` {
		t.Errorf("got %s, %v", raw, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"family":"f","containerDefinitions":[{"cpu":2.0}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var in ecs.RegisterTaskDefinitionInput
		if err := wire.Unmarshal(data, &in, wire.LowerCamel); err != nil {
			return
		}
		if _, err := wire.Marshal(&in, wire.LowerCamel); err != nil {
			t.Errorf("read but not written: %v", err)
		}
	})
}
