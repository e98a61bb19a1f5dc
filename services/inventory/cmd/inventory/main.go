// Command inventory serves stock and reservations over gRPC and REST.
package main

import (
	"os"

	"github.com/slipway-dev/slipway/platform/serve"
)

func main() { os.Exit(serve.Main(service())) }
