package serve

import "context"

type check struct {
	name string
	fn   func(context.Context) error
}
