package ecsapi

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// maxPage is the most any list returns at once.
const maxPage = 100

// order is which way a list is sorted.
type order int

const (
	ascending  order = 1
	descending order = -1
)

// page cuts one page out of items sorted by key. The token names the last item
// of the page before, so that items that come and go do not shift pages.
func page[T any](items []T, key func(T) string, by order, size *int32, token *string, normal int) ([]T, *string, error) {
	n := normal
	if size != nil {
		if *size < 1 || *size > maxPage {
			return nil, nil, ecserr.Invalid("maxResults must be between 1 and %d.", maxPage)
		}
		n = int(*size)
	}
	if aws.ToString(token) != "" {
		after, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, ecserr.Invalid("Invalid token.")
		}
		at := slices.IndexFunc(items, func(item T) bool { return strings.Compare(key(item), string(after))*int(by) > 0 })
		if at < 0 {
			return nil, nil, nil
		}
		items = items[at:]
	}
	if len(items) <= n {
		return items, nil, nil
	}
	items = items[:n]
	return items, aws.String(base64.RawURLEncoding.EncodeToString([]byte(key(items[n-1])))), nil
}

// arnPage is page over ARNs in ascending order.
func arnPage(arns []string, size *int32, token *string, normal int) ([]string, *string, error) {
	slices.Sort(arns)
	arns, next, err := page(arns, func(arn string) string { return arn }, ascending, size, token, normal)
	if arns == nil {
		arns = []string{}
	}
	return arns, next, err
}
