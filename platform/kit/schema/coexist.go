package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
)

// replayFile holds the requests that are played, below a service's folder.
const replayFile = "cmd/NAME/testdata/replay.json"

// exchange is a request that writes and one that reads what it wrote. {n} in
// them stands for a number that no other request has.
type exchange struct {
	Write string          `json:"write"` // "POST /v1/products?productId=replay-{n}"
	Body  json.RawMessage `json:"body"`
	Read  string          `json:"read"` // "GET /v1/products/replay-{n}"
}

// numbered fills in the number.
func (x exchange) numbered(n int) exchange {
	fill := func(text string) string { return strings.ReplaceAll(text, "{n}", strconv.Itoa(n)) }
	return exchange{Write: fill(x.Write), Body: json.RawMessage(fill(string(x.Body))), Read: fill(x.Read)}
}

// coexist plays a rollout: the release before runs and is written to; the new
// binary migrates the database under it; both serve. It returns what was done.
func (t *trial) coexist(ctx context.Context) (done string, err error) {
	exchanges, err := t.exchanges()
	if err != nil || exchanges == nil {
		return "it has no " + strings.ReplaceAll(replayFile, "NAME", t.service.Name) + " to run it beside the new one with", err
	}
	err = t.Emit.Run("run "+t.service.Name+" as it was and as it is on one database", func(*event.Step) (string, error) {
		return "", t.rollOut(ctx, exchanges)
	})
	return fmt.Sprintf("%d kinds of rows that either writes are read by both", len(exchanges)), err
}

// exchanges reads the requests of the release before; nil when it has none.
func (t *trial) exchanges() ([]exchange, error) {
	file := filepath.Join(t.old, filepath.FromSlash(t.service.Dir), filepath.FromSlash(strings.ReplaceAll(replayFile, "NAME", t.service.Name)))
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what to replay: %w", err)
	}
	var exchanges []exchange
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&exchanges); err != nil || len(exchanges) == 0 {
		return nil, fmt.Errorf("read what to replay: %s has no list of requests: %w", replayFile, err)
	}
	return exchanges, nil
}

// stopTimeout bounds the end of the server and the binaries.
const stopTimeout = 20 * time.Second

func (t *trial) rollOut(ctx context.Context, exchanges []exchange) (err error) {
	server, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(t.dir, "postgres"), Installations: t.Servers})
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, server.Stop(end))
	}()
	const password = "replay"
	if err := server.Ensure(ctx, t.service.Name, password); err != nil {
		return err
	}
	people, err := newPeople(t.Root)
	if err != nil {
		return err
	}
	fleet := &fleet{trial: t, people: people, database: fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", t.service.Name, password, server.Addr(), t.service.Name)}
	defer func() { err = errors.Join(err, fleet.stop()) }()

	if err := fleet.migrate(ctx, before); err != nil {
		return err
	}
	was, err := fleet.start(ctx, before)
	if err != nil {
		return err
	}
	p := player{trial: t, fleet: fleet, exchanges: exchanges}
	rows, err := p.write(ctx, was, nil)
	if err != nil {
		return err
	}
	if err := fleet.migrate(ctx, after); err != nil {
		return err
	}
	if rows, err = p.write(ctx, was, rows); err != nil { // as it is, with the new schema under it
		return err
	}
	is, err := fleet.start(ctx, after)
	if err != nil {
		return err
	}
	if rows, err = p.write(ctx, is, rows); err != nil {
		return err
	}
	return p.compare(ctx, was, is, rows)
}

// player writes and reads rows through the binaries.
type player struct {
	*trial

	fleet     *fleet
	exchanges []exchange
	n         int
}

// write writes one row of each kind through a binary, and reads it and those
// that were there.
func (p *player) write(ctx context.Context, by *task, rows []exchange) ([]exchange, error) {
	for _, x := range p.exchanges {
		p.n++
		x = x.numbered(p.n)
		if _, err := p.ask(ctx, by, x.Write, x.Body); err != nil {
			return nil, err
		}
		rows = append(rows, x)
	}
	for _, x := range rows {
		if _, err := p.ask(ctx, by, x.Read, nil); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// compare reads every row through both; what the release before tells of it,
// the new one must tell too. It may tell more.
func (p *player) compare(ctx context.Context, was, is *task, rows []exchange) error {
	for _, x := range rows {
		said, err := p.ask(ctx, was, x.Read, nil)
		if err != nil {
			return err
		}
		says, err := p.ask(ctx, is, x.Read, nil)
		if err != nil {
			return err
		}
		if field, differs := lacks(says, said, ""); differs {
			return p.broken(x.Read, fmt.Sprintf("the two releases disagree on %s: before %v, now %v", field, said, says))
		}
	}
	return nil
}

// lacks finds a member of want that got does not have, or has otherwise.
func lacks(got, want any, at string) (field string, differs bool) {
	object, ok := want.(map[string]any)
	if !ok {
		return at, !reflect.DeepEqual(got, want)
	}
	other, _ := got.(map[string]any)
	for key, value := range object {
		if field, differs := lacks(other[key], value, strings.TrimPrefix(at+"."+key, ".")); differs {
			return field, true
		}
	}
	return "", false
}

// ask sends "VERB /path" to a binary and returns its JSON answer.
func (p *player) ask(ctx context.Context, of *task, call string, body []byte) (any, error) {
	verb, path, _ := strings.Cut(call, " ")
	status, answer, err := of.send(ctx, verb, path, body)
	if err != nil {
		return nil, p.broken("the release "+of.which+", "+call, err.Error())
	}
	if status != http.StatusOK {
		return nil, p.broken("the release "+of.which+", "+call, fmt.Sprintf("status %d: %s\n%s", status, answer, of.lastLines()))
	}
	var decoded any
	if err := json.Unmarshal(answer, &decoded); err != nil {
		return nil, p.broken("the release "+of.which+", "+call, "the answer is no JSON: "+string(answer))
	}
	return decoded, nil
}
