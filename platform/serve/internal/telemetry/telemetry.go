// Package telemetry traces requests, calls, SQL and jobs with OpenTelemetry,
// ready for AWS X-Ray. It is made so that a request that is not sampled costs
// next to nothing, and so that the receiver's absence is felt by nobody. There
// is no global state: what is traced holds a *Telemetry, and a nil one is off.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/slipway-dev/slipway/platform/serve"

// Options say whose spans these are and where they go.
type Options struct {
	Service, Version, Environment string

	Log   *slog.Logger
	Clock clockwork.Clock // nil means the real one

	// Exporter takes the spans in place of the configured endpoint, for tests.
	Exporter sdktrace.SpanExporter
}

// Telemetry makes spans. All its methods may be called on nil and do nothing.
type Telemetry struct {
	provider    *sdktrace.TracerProvider
	tracer      trace.Tracer
	root        sdktrace.Sampler // of a request without a parent
	parentBased bool
	ids         *ids
	propagator  propagation.TextMapPropagator
	export      *exporter
	client      *http.Client
}

// Limits of the spans that wait for the receiver, and of one span: memory is
// bounded by their product.
const (
	queueSize     = 2048
	batchSize     = 512
	batchDelay    = time.Second
	exportTimeout = 5 * time.Second
	attributes    = 64
	events        = 16
	links         = 16
	valueLength   = 1024 // bytes
)

// New makes a Telemetry, nil if nothing is to be traced. It connects nothing.
func New(ctx context.Context, cfg Config, o Options) (*Telemetry, error) {
	if cfg.Disabled || (cfg.Endpoint == "" && o.Exporter == nil) {
		return nil, nil //nolint:nilnil // nil is off, see Telemetry
	}
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	t := &Telemetry{ids: &ids{xray.NewIDGenerator()}, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: exportTimeout,
	}}}
	t.root, t.parentBased = rootSampler(cfg)
	t.propagator = propagation.NewCompositeTextMapPropagator(xray.Propagator{}, propagation.TraceContext{}, propagation.Baggage{})
	inner := o.Exporter
	if inner == nil {
		var err error
		inner, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.Endpoint, "/")+tracesPath),
			otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithHTTPClient(t.client),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
				Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: exportTimeout,
			}))
		if err != nil {
			return nil, fmt.Errorf("make trace exporter: %w", err)
		}
	}
	own, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		semconv.ServiceName(o.Service), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(uuid.NewString()),
		semconv.DeploymentEnvironmentNameKey.String(o.Environment)))
	if err != nil {
		return nil, fmt.Errorf("describe trace resource: %w", err)
	}
	t.export = newExporter(inner, o.Log, o.Clock, &task{url: cfg.MetadataURL, client: t.client})
	sampler := t.root
	if t.parentBased {
		sampler = sdktrace.ParentBased(sampler)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit, limits.AttributeValueLengthLimit = attributes, events, links, valueLength
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithResource(own), sdktrace.WithSampler(sampler), sdktrace.WithIDGenerator(t.ids),
		sdktrace.WithRawSpanLimits(limits), sdktrace.WithSpanProcessor(newBounded(t.export)))
	t.tracer = t.provider.Tracer(scope, trace.WithInstrumentationVersion(o.Version), trace.WithSchemaURL(semconv.SchemaURL))
	return t, nil
}

// Shutdown sends what is left and ends the export, at the latest when ctx ends.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.provider.Shutdown(ctx)
	t.export.stop() // what still tries gives up now
	t.client.CloseIdleConnections()
	if err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// rootSampler is the sampler for a trace that begins here, and whether a caller
// may decide otherwise.
func rootSampler(cfg Config) (root sdktrace.Sampler, parentBased bool) {
	name, parentBased := strings.CutPrefix(cfg.Sampler, samplerParent)
	switch name {
	case samplerOn:
		return sdktrace.AlwaysSample(), parentBased
	case samplerOff:
		return sdktrace.NeverSample(), parentBased
	default:
		return sdktrace.TraceIDRatioBased(cfg.SamplerArg), parentBased
	}
}
