// Package echopb is the generated API of the service that serve's tests run.
// `go generate` makes it anew from echo.proto.
package echopb

//go:generate sh -c "cd ../.. && GOWORK=off go tool -modfile=../tools/buf/go.mod buf generate ../.. --config internal/echopb/buf.yaml --template internal/echopb/buf.gen.yaml --path ../../platform/serve/internal/echopb/echo.proto"
