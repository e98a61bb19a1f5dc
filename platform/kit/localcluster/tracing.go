package localcluster

import "github.com/slipway-dev/slipway/platform/kit/localcluster/traces"

// tracing is all that has to do with traces.
type tracing struct {
	store    *traces.Store
	receiver *traces.Receiver
	gateway  *traces.Recorder
}

func (c *cluster) openTraces() (*tracing, error) {
	store, err := traces.Open(traces.Config{Dir: c.dir(tracesFolder), Logger: c.cfg.Logger})
	if err != nil {
		return nil, err
	}
	return &tracing{store: store, receiver: traces.NewReceiver(store, c.clock), gateway: traces.NewRecorder(store)}, nil
}

// close writes what was taken and ends.
func (t *tracing) close() error {
	t.receiver.Close()
	t.gateway.Close()
	return t.store.Close()
}
