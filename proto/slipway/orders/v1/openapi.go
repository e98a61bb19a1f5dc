// Package ordersv1 is the API of orders: messages, gRPC client and server, the
// REST gateway and the OpenAPI document. Only this file is written by
// hand; buf makes the others of the proto beside it.
package ordersv1

import _ "embed"

// OpenAPI is the OpenAPI 2.0 document of the REST side, JSON.
//
//go:embed orders_service.swagger.json
var OpenAPI []byte
