package awsx_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		code, message, want, next string
		notFound                  bool
	}{
		"expired": {
			code: "ExpiredTokenException", message: "The security token is expired",
			want: "describe service catalog in cluster c: ExpiredTokenException: The security token is expired", next: "aws sso login   # then repeat the command",
		},
		"denied": {
			code: "AccessDeniedException", message: "not authorized",
			want: "describe service catalog in cluster c: AccessDeniedException: not authorized", next: "aws sts get-caller-identity   # is this the role that may deploy?",
		},
		"no cluster": {
			code: "ClusterNotFoundException", message: "Cluster not found.", notFound: true,
			want: "describe service catalog in cluster c: ClusterNotFoundException: Cluster not found.",
		},
		"no message": {code: "InvalidParameterException", want: "describe service catalog in cluster c: InvalidParameterException"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"__type":%q,"message":%q}`, tc.code, tc.message)
			}))
			defer server.Close()
			client := must(awsx.New(t.Context(), awsx.Config{Region: region, Endpoint: server.URL, Local: true}))(t)
			_, err := client.Service(t.Context(), "c", "catalog")
			if err == nil || err.Error() != tc.want || event.Next(err) != tc.next || errors.Is(err, rollout.ErrNotFound) != tc.notFound {
				t.Errorf("error %v, next %q, not found %t", err, event.Next(err), errors.Is(err, rollout.ErrNotFound))
			}
		})
	}
}
