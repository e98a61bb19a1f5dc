// Command slipway-cluster runs the embedded cluster in the foreground. The
// kit starts it in the background; see localcluster/daemon.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/localcluster"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	cfg := localcluster.Config{Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Reporter: daemon.StarterReporter()}
	cfg.Flags(flag.CommandLine)
	flag.Parse()
	err := localcluster.Run(ctx, cfg)
	stop()
	if err != nil {
		cfg.Logger.Error("ended", "error", err)
		os.Exit(1)
	}
}
