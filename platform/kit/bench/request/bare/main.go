// Command bare is the least that serves one product over HTTP out of
// PostgreSQL: no framework, no checks, no log. Benchmarks compare services
// with it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv("DATABASE_URL"), net.JoinHostPort("127.0.0.1", os.Getenv("HTTP_PORT"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // the signal handler goes with the process
	}
}
