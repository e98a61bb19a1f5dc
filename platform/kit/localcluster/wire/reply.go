package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// refused is an error with a status of its own; others get theirs from
// whose fault they are.
type refused struct {
	smithy.GenericAPIError

	status int
}

func refusal(status int, code, message string) error {
	fault := smithy.FaultClient
	if status >= http.StatusInternalServerError {
		fault = smithy.FaultServer
	}
	return &refused{smithy.GenericAPIError{Code: code, Message: message, Fault: fault}, status}
}

func internal(message string) error {
	return refusal(http.StatusInternalServerError, "InternalFailure", message)
}

// reply writes one response and remembers what it was for the log.
type reply struct {
	w      http.ResponseWriter
	id     string
	target string
	status int
	code   string
	cbor   bool
}

func (a *reply) succeed(body []byte) {
	if a.cbor {
		a.send(http.StatusOK, cborMedia, body)
		return
	}
	a.send(http.StatusOK, "application/x-amz-json-1.1", body)
}

func (a *reply) fail(err error) {
	code, status := classify(err)
	a.code = code
	if a.cbor {
		a.send(status, cborMedia, errorCBOR(code, err))
		return
	}
	a.w.Header().Set("X-Amzn-Errortype", code)
	a.send(status, "application/x-amz-json-1.1", errorBody(code, err))
}

// failXML answers a client of the query protocol.
func (a *reply) failXML(err error) {
	code, status := classify(err)
	a.code = code
	type fault struct {
		Type, Code, Message string
	}
	body, encodeErr := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     fault
		RequestID string `xml:"RequestId"`
	}{Error: fault{"Sender", code, message(err)}, RequestID: a.id})
	if encodeErr != nil {
		body = nil
	}
	a.send(status, "text/xml", body)
}

func (a *reply) send(status int, contentType string, body []byte) {
	if a.status != 0 {
		return // a panic after the response has begun
	}
	a.status = status
	header := a.w.Header()
	if a.cbor {
		header.Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	header.Set("Content-Type", contentType)
	header.Set("X-Amzn-Requestid", a.id)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	a.w.WriteHeader(status)
	_, _ = a.w.Write(body) // the client is gone: nobody to tell
}

func classify(err error) (code string, status int) {
	if own, ok := errors.AsType[*refused](err); ok {
		return own.Code, own.status
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return "InternalFailure", http.StatusInternalServerError
	}
	if api.ErrorFault() == smithy.FaultServer {
		return api.ErrorCode(), http.StatusInternalServerError
	}
	return api.ErrorCode(), http.StatusBadRequest
}

func message(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorMessage()
	}
	return err.Error()
}

// errorBody spells an SDK exception with the SDK's own encoder: whether its
// text is "message" or "Message" differs between exceptions of one service.
func errorBody(code string, err error) []byte {
	fields := map[string]any{"__type": code}
	if modelled, ok := errors.AsType[interface {
		smithy.APIError
		smithy.Serializable
	}](err); ok {
		for name, value := range members(modelled) {
			fields[name] = value
		}
	}
	if fields["message"] == nil && fields["Message"] == nil {
		fields["message"] = message(err)
	}
	body, encodeErr := json.Marshal(fields)
	if encodeErr != nil {
		return []byte(`{"__type":"InternalFailure"}`)
	}
	return body
}

func members(v smithy.Serializable) map[string]json.RawMessage {
	request, ok := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if !ok {
		return nil
	}
	if err := sdkProtocol().SerializeRequest(context.Background(), sdkOperation(), v, request); err != nil {
		return nil
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, request.GetStream()); err != nil {
		return nil
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(body.Bytes(), &out); err != nil {
		return nil
	}
	return out
}
