package serve

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/slipway-dev/slipway/platform/serve/database"
)

// check looks for rows that break the service's invariants, prints what it found
// as one JSON object a line, and fails if one does not hold.
func (c Command) check(ctx context.Context, svc Service) error {
	if len(svc.Invariants) == 0 {
		return nil // nothing is claimed, so nothing is broken
	}
	cfg, err := decode(svc, c.environ())
	if err != nil {
		return err
	}
	findings, err := database.CheckInvariants(ctx, cfg.Database, svc.Invariants)
	if err != nil {
		return fmt.Errorf("check invariants: %w\nnext: see that the database answers and is migrated", err)
	}
	broken := 0
	for _, f := range findings {
		if !f.Holds {
			broken++
		}
		if err := json.NewEncoder(c.Stdout).Encode(f); err != nil {
			return fmt.Errorf("print findings: %w", err)
		}
	}
	if broken > 0 {
		return fmt.Errorf("check invariants: %d of %d do not hold\nnext: read the rows above; \"doc\" says what each means", broken, len(findings))
	}
	return nil
}
