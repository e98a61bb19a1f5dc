package outbound

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The retry policy (gRPC proposal A6). The budget belongs to the connection: each
// failure that might be retried takes a token of a hundred, each success gives a
// tenth back, and below half of them nothing is retried. So a callee in trouble
// gets at most a tenth more calls than it would without retries, while all that a
// lost task had in hand, up to fifty calls, may be tried again.
const (
	maxAttempts  = 3
	budgetTokens = 100
	budgetRatio  = 0.1
)

type serviceConfigJSON struct {
	LoadBalancing []map[string]struct{} `json:"loadBalancingConfig"`
	Throttling    throttlingJSON        `json:"retryThrottling"`
	Methods       []methodJSON          `json:"methodConfig,omitempty"`
}

type throttlingJSON struct {
	MaxTokens  int     `json:"maxTokens"`
	TokenRatio float64 `json:"tokenRatio"`
}

type methodJSON struct {
	Name  []nameJSON `json:"name"`
	Retry retryJSON  `json:"retryPolicy"`
}

type nameJSON struct {
	Service string `json:"service"`
	Method  string `json:"method"`
}

type retryJSON struct {
	MaxAttempts int      `json:"maxAttempts"`
	Initial     string   `json:"initialBackoff"`
	Max         string   `json:"maxBackoff"`
	Multiplier  float64  `json:"backoffMultiplier"`
	Codes       []string `json:"retryableStatusCodes"`
}

// serviceConfig is gRPC's service config: calls are balanced over all addresses,
// and those methods are retried whose proto says that they may be sent twice.
func serviceConfig() string {
	cfg := serviceConfigJSON{
		LoadBalancing: []map[string]struct{}{{"round_robin": {}}},
		Throttling:    throttlingJSON{MaxTokens: budgetTokens, TokenRatio: budgetRatio},
	}
	if names := repeatable(protoregistry.GlobalFiles); len(names) > 0 {
		cfg.Methods = []methodJSON{{Name: names, Retry: retryJSON{
			MaxAttempts: maxAttempts, Initial: "0.05s", Max: "0.5s", Multiplier: 3,
			// A full callee says how long to wait (grpc-retry-pushback-ms).
			Codes: []string{"UNAVAILABLE", "RESOURCE_EXHAUSTED"},
		}}}
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return "{}" // a struct of strings and numbers does not fail
	}
	return string(text)
}

// repeatable lists the methods with the option idempotency_level, over all protos
// that are linked in: which of them a callee has is for its connection to see.
func repeatable(files *protoregistry.Files) []nameJSON {
	var names []nameJSON
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "grpc.") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				if m := service.Methods().Get(j); mayRepeat(m) {
					names = append(names, nameJSON{Service: string(service.FullName()), Method: string(m.Name())})
				}
			}
		}
		return true
	})
	return names
}

func mayRepeat(m protoreflect.MethodDescriptor) bool {
	options, ok := m.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}
