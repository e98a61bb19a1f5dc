package mesh_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// callVariable makes this program a task: it calls the address, prints what
// came of it, and ends.
const callVariable = "MESH_TEST_CALL"

func TestMain(m *testing.M) {
	if address := os.Getenv(callVariable); address != "" {
		os.Exit(call(address))
	}
	goleak.VerifyTestMain(m)
}

// call is what a process that this test starts as a task does. It waits for a
// byte first, so that it is known before it calls.
func call(address string) int {
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = testpb.NewTestServiceClient(conn).UnaryCall(ctx, &testpb.SimpleRequest{})
	s := status.Convert(err)
	fmt.Println(s.Code(), s.Message())
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			fmt.Println(info.GetReason(), info.GetMetadata()["callee"])
		}
	}
	return 0
}
