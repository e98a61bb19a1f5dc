// Command slipway-cluster runs the embedded cluster in the foreground. The
// kit starts it in the background; see localcluster/daemon.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/localcluster"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cfg := localcluster.Config{Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Reporter: reporter()}
	flag.StringVar(&cfg.Checkout, "checkout", "", "folder whose services run here")
	flag.StringVar(&cfg.StateDir, "state", "", "state folder")
	flag.StringVar(&cfg.CacheDir, "cache", "", "cache folder")
	flag.StringVar(&cfg.Account, "account", "000000000000", "account id in ARNs")
	flag.StringVar(&cfg.Region, "region", "us-east-1", "region in ARNs")
	flag.IntVar(&cfg.GatewayPort, "gateway-port", 8080, "port of the services' API")
	flag.IntVar(&cfg.EndpointPort, "endpoint-port", 4510, "port of the AWS protocols and the registry")
	flag.IntVar(&cfg.PostgresPort, "postgres-port", 54510, "port of PostgreSQL")
	flag.StringVar(&cfg.Build, "build", "", "identity of this program, for status")
	flag.Parse()
	if err := localcluster.Run(ctx, cfg); err != nil {
		cfg.Logger.Error("ended", "error", err)
		os.Exit(1)
	}
}

// reporter writes to the pipe that a starter left, if there is one.
func reporter() *daemon.Reporter {
	fd, err := strconv.Atoi(os.Getenv(daemon.PipeVariable))
	if err != nil {
		return daemon.NewReporter(nil)
	}
	syscall.CloseOnExec(fd)
	return daemon.NewReporter(os.NewFile(uintptr(fd), "starter"))
}
