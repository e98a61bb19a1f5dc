package sandbox

import (
	"fmt"
	"strings"
)

// Service is the one that is measured.
const Service = "catalog"

// Path is where the gateway answers with a release's mark, for anybody and
// without a database: the service's OpenAPI document.
const Path = "/docs/" + Service + "/openapi.json"

// change is the file that makes a release different, MarkOf what its answers hold.
const change = "services/" + Service + "/cmd/" + Service + "/change.go"

// MarkOf is the text in every answer at Path of the n-th release.
func MarkOf(n int) string { return fmt.Sprintf("bench release %08d", n) }

// Change makes one line of the program new: the build is the n-th release.
func (s *Sandbox) Change(n int) error {
	return s.Write(change, fill(sound, "MARK", MarkOf(n)))
}

// sound marks the document that the service shows.
const sound = `package main

import catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"

// mark is the line that changes.
const mark = "MARK"

func init() {
	catalogv1.OpenAPI = append([]byte("{\"x-release\": \""+mark+"\","), catalogv1.OpenAPI[1:]...)
}
`

// Break makes the n-th release one that answers badly: each health check with
// 503 if unhealthy, else every request but those with 500. It tells url of each
// such answer first, by a GET.
func (s *Sandbox) Break(n int, unhealthy bool, url string) error {
	good := "true"
	if unhealthy {
		good = "false"
	}
	return s.Write(change, fill(broken, "MARK", MarkOf(n), "HEALTHY", good, "URL", url))
}

// broken serves instead of the service; migrations run as ever.
const broken = `package main

import (
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	mark    = "MARK"
	healthy = HEALTHY
)

func init() {
	if len(os.Args) > 1 {
		return
	}
	client := &http.Client{Timeout: time.Second}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := strings.HasPrefix(r.UserAgent(), "ELB-HealthChecker")
		if healthy && probe {
			if r.ProtoMajor == 2 {
				w.Header().Set("Content-Type", "application/grpc")
				w.Header().Set("Grpc-Status", "0")
			}
			return
		}
		if probe || healthy {
			if res, err := client.Get("URL"); err == nil {
				_ = res.Body.Close()
			}
		}
		status := http.StatusInternalServerError
		if probe {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, mark, status)
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	end := make(chan error)
	for _, port := range []string{os.Getenv("HTTP_PORT"), os.Getenv("GRPC_PORT")} {
		server := &http.Server{Addr: net.JoinHostPort(os.Getenv("BIND_ADDRESS"), port), Handler: handler, Protocols: protocols}
		go func() { end <- server.ListenAndServe() }()
	}
	println((<-end).Error())
	os.Exit(1)
}
`

func fill(template string, oldNew ...string) string {
	return strings.NewReplacer(oldNew...).Replace(template)
}
