package key

import (
	"context"
	"sync"
)

// Loader returns a key, of which loading may need files or the network.
type Loader func(ctx context.Context) (*Key, error)

// Once returns a loader that loads once. What failed is tried again.
func Once(load Loader) Loader {
	var mu sync.Mutex
	var loaded *Key
	return func(ctx context.Context) (*Key, error) {
		mu.Lock()
		defer mu.Unlock()
		if loaded != nil {
			return loaded, nil
		}
		k, err := load(ctx)
		if err == nil {
			loaded = k
		}
		return k, err
	}
}
