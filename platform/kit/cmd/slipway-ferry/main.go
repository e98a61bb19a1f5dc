// Command slipway-ferry runs beside a task of the Docker runtime, in the task's
// network namespace; see localcluster/runtime/ferry.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/ferry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	dir := flag.String("dir", "/run/ferry", "folder of the sockets")
	list := flag.String("ports", "", "ports that the task may call, with commas between them")
	flag.Parse()
	var ports []int
	for field := range strings.FieldsFuncSeq(*list, func(r rune) bool { return r == ',' }) {
		port, err := strconv.Atoi(field)
		if err != nil {
			slog.Error("read ports", "error", err)
			os.Exit(2)
		}
		ports = append(ports, port)
	}
	err := ferry.Inside(ctx, *dir, ports)
	stop()
	if err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}
