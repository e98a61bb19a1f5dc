package serve

import (
	"net/http"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/internal/inspect"
	"github.com/slipway-dev/slipway/platform/serve/internal/interceptor"
)

// buildInspect makes the server of the internal port.
func (a *App) buildInspect(chain []interceptor.Interceptor) {
	cfg := inspect.Config{
		Service: a.cfg.Name, Version: a.cfg.Version, Running: a.load.Running,
		Settings: make(map[string]string), Methods: make(map[string][]string),
	}
	for _, attr := range a.settings.Group() {
		cfg.Settings[attr.Key] = attr.Value.String()
	}
	for _, in := range chain {
		cfg.Interceptors = append(cfg.Interceptors, in.Name)
	}
	for name, m := range a.methods {
		cfg.Methods[name] = m.Scopes
		if m.Public {
			cfg.Methods[name] = []string{"public"}
		}
	}
	a.inspect = &http.Server{Handler: inspect.NewHandler(cfg), ReadHeaderTimeout: 5 * time.Second, ErrorLog: a.http.ErrorLog}
}
