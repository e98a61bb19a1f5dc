package scheduler

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// maxEvents is how many events a service keeps, as in ECS.
const maxEvents = 100

// say adds a service event, newest first.
func (t *turn) say(svc *ledger.Service, format string, args ...any) {
	event := types.ServiceEvent{
		Id:        aws.String(t.uuid()),
		CreatedAt: aws.Time(t.now),
		Message:   aws.String(fmt.Sprintf("(service %s) ", *svc.Service.ServiceName) + fmt.Sprintf(format, args...) + "."),
	}
	keep := svc.Service.Events[:min(len(svc.Service.Events), maxEvents-1)]
	svc.Service.Events = append([]types.ServiceEvent{event}, keep...)
	t.touchService(svc)
}

// taskList is "(task a) (task b)".
func taskList(ids []string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = "(task " + id + ")"
	}
	return strings.Join(parts, " ")
}

func (t *turn) touchService(svc *ledger.Service) {
	t.ledger.Services.Touch(ledger.Key(svc.Cluster, *svc.Service.ServiceName))
}

func serviceKey(svc *ledger.Service) string { return ledger.Key(svc.Cluster, *svc.Service.ServiceName) }
