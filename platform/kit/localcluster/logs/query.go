package logs

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
)

// Limits of one answer (CloudWatch Logs API reference, GetLogEvents).
const (
	maxEvents      = 10000
	maxAnswerBytes = 1 << 20
	eventOverhead  = 26 // what the service counts for an event beside its text
)

// query asks for events in order of position, from one end or the other.
type query struct {
	streams  []*stream
	from, to int64 // times, both inclusive
	matches  matcher
	after    *position // exclusive
	before   *position // exclusive
	limit    int
	newest   bool // the last events rather than the first
}

// hit is an event that a query found.
type hit struct {
	record

	stream string
}

// run returns hits in ascending order, and whether there are more in the
// direction of the query.
func (q query) run(ctx context.Context) (hits []hit, more bool, err error) {
	best := collector{limit: q.limit + 1, newest: q.newest}
	for _, st := range q.streams {
		segments, err := st.snapshot()
		if err != nil {
			return nil, false, err
		}
		for i := range segments {
			if err := ctx.Err(); err != nil {
				return nil, false, err
			}
			if err := q.search(&segments[i], st.info.Name, &best); err != nil {
				return nil, false, err
			}
		}
	}
	hits = best.sorted()
	size := 0
	for i, h := range hits {
		size += len(h.Message) + eventOverhead
		if i == q.limit || i > 0 && size > maxAnswerBytes {
			hits, more = hits[:i], true
			break
		}
	}
	if q.newest {
		slices.Reverse(hits)
	}
	return hits, more, nil
}

func (q query) search(seg *segment, stream string, best *collector) error {
	if seg.events == 0 || seg.last < q.from || seg.first > q.to ||
		q.after != nil && seg.last < q.after.Time || q.before != nil && seg.first > q.before.Time {
		return nil
	}
	data, err := seg.read()
	if err != nil {
		return err
	}
	scan(data, func(r record) bool {
		if r.Time >= q.from && r.Time <= q.to &&
			(q.after == nil || r.compare(*q.after) > 0) && (q.before == nil || r.compare(*q.before) < 0) &&
			q.matches(r.Message) {
			best.add(hit{r, stream})
		}
		return true
	})
	return nil
}

// collector keeps the first (or newest) limit hits of any number.
type collector struct {
	limit  int
	newest bool
	hits   []hit
}

func (c *collector) add(h hit) {
	c.hits = append(c.hits, h)
	if len(c.hits) >= 4*c.limit+1024 {
		c.hits = c.sorted()
	}
}

func (c *collector) sorted() []hit {
	slices.SortFunc(c.hits, func(a, b hit) int {
		if c.newest {
			a, b = b, a
		}
		return a.compare(b.position)
	})
	return c.hits[:min(len(c.hits), c.limit)]
}

// token is where a listing goes on. kind tells forward from backward.
func token(kind byte, p position) *string {
	text := string(kind) + "/" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%d", p.Time, p.Number))
	return &text
}

func parseToken(text string) (kind byte, p position, err error) {
	invalid := invalidParameter("The specified nextToken is invalid.")
	if len(text) < 3 || text[1] != '/' {
		return 0, p, invalid
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[2:])
	if err != nil {
		return 0, p, invalid
	}
	if _, err := fmt.Sscanf(string(raw), "%d/%d", &p.Time, &p.Number); err != nil {
		return 0, p, invalid
	}
	return text[0], p, nil
}
