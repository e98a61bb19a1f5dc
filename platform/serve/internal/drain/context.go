package drain

import "context"

type contextKey struct{}

// With puts the channel that is closed when streams must end into the context.
func With(ctx context.Context, stopping <-chan struct{}) context.Context {
	return context.WithValue(ctx, contextKey{}, stopping)
}

// From is the channel of With, nil without one.
func From(ctx context.Context) <-chan struct{} {
	stopping, _ := ctx.Value(contextKey{}).(<-chan struct{})
	return stopping
}
