// Package catalogv1 is the catalog's API: messages, gRPC client and server, the
// REST gateway and the OpenAPI document. All but this file is generated from the
// protos beside it.
package catalogv1

import _ "embed"

// OpenAPI is the OpenAPI 2.0 document of the REST side, JSON.
//
//go:embed catalog_service.swagger.json
var OpenAPI []byte
