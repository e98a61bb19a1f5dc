// Package traces is where the embedded cluster keeps traces: an OTLP receiver
// that every exporter of OpenTelemetry can send to, a bounded history on disk,
// and the part of X-Ray's API that reads it back.
//
// Nothing here may slow a sender: what cannot be taken at once is refused with
// a time to come again, and what cannot be written is dropped and counted.
package traces
