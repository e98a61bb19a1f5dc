// Package inventoryv1 is the inventory's API: messages, gRPC client and server,
// the REST gateway and the OpenAPI document. Only this file is written by
// hand; buf makes the others of the protos beside it.
package inventoryv1

import _ "embed"

// OpenAPI is the OpenAPI 2.0 document of the REST side, JSON.
//
//go:embed inventory_service.swagger.json
var OpenAPI []byte
