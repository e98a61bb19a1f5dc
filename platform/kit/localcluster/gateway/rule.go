package gateway

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Rule is a listener rule: the first one, by ascending priority, whose
// conditions all hold decides what happens to a request.
type Rule struct {
	// ID names the rule to its owner, such as the ARN of the service.
	ID string `json:"id"`
	// Priority is 1 to 50000 and unlike that of any other rule.
	Priority   int         `json:"priority"`
	Conditions []Condition `json:"conditions"`
	// Forward shares requests out by weight. Exactly one of Forward, Fixed and
	// Follow is set.
	Forward []WeightedGroup `json:"forward,omitempty"`
	Fixed   *FixedResponse  `json:"fixed,omitempty"`
	// Follow is the ID of a rule with Forward whose target groups and weights
	// this one always has.
	Follow string `json:"follow,omitempty"`
}

// Field is what a condition looks at.
type Field string

// Condition fields, with the names Elastic Load Balancing gives them.
const (
	// PathPattern compares the path, case counts.
	PathPattern Field = "path-pattern"
	// HTTPHeader compares the values of Header, case does not count. Use it
	// with "application/grpc*" on content-type to tell gRPC from REST.
	HTTPHeader Field = "http-header"
	// HostHeader compares the host without its port, case does not count.
	HostHeader Field = "host-header"
	// HTTPMethod compares the method exactly, without wildcards.
	HTTPMethod Field = "http-request-method"
)

// Condition holds when any of its values matches. In a value, * stands for any
// run of characters and ? for exactly one.
type Condition struct {
	Field Field `json:"field"`
	// Header is the header's name where Field is HTTPHeader.
	Header string   `json:"header,omitempty"`
	Values []string `json:"values"`
}

// WeightedGroup is a target group's share, 0 to 999, of a rule's requests.
type WeightedGroup struct {
	TargetGroupARN string `json:"target_group_arn"`
	Weight         int    `json:"weight"`
}

// FixedResponse is an answer that reaches no target.
type FixedResponse struct {
	StatusCode  int    `json:"status_code"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// limits from the Elastic Load Balancing API: CreateRule and TargetGroupTuple.
const (
	maxPriority = 50000
	maxWeight   = 999
)

// validate reports everything that is wrong with the rule by itself.
func (r *Rule) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.ID == "" {
		bad("id is empty")
	}
	if r.Priority < 1 || r.Priority > maxPriority {
		bad("priority %d is not in 1 to %d", r.Priority, maxPriority)
	}
	if actions := count(len(r.Forward) > 0) + count(r.Fixed != nil) + count(r.Follow != ""); actions != 1 {
		bad("want exactly one of forward, fixed response and follow")
	}
	for _, w := range r.Forward {
		if w.Weight < 0 || w.Weight > maxWeight {
			bad("weight %d of %s is not in 0 to %d", w.Weight, w.TargetGroupARN, maxWeight)
		}
	}
	if r.Fixed != nil && (r.Fixed.StatusCode < 200 || r.Fixed.StatusCode > 599) {
		bad("status code %d is not in 200 to 599", r.Fixed.StatusCode)
	}
	for _, c := range r.Conditions {
		switch c.Field {
		case PathPattern, HTTPHeader, HostHeader, HTTPMethod:
		default:
			bad("condition field %q is unknown", c.Field)
		}
		if len(c.Values) == 0 {
			bad("condition on %s has no values", c.Field)
		}
		if (c.Field == HTTPHeader) != (c.Header != "") {
			bad("condition on %s: a header name goes with %s alone", c.Field, HTTPHeader)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("rule %s: %w", r.ID, errors.Join(errs...))
	}
	return nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// matches reports whether every condition holds for the request.
func (r *Rule) matches(req *http.Request) bool {
	for i := range r.Conditions {
		if !r.Conditions[i].matches(req) {
			return false
		}
	}
	return true
}

func (c *Condition) matches(req *http.Request) bool {
	switch c.Field {
	case PathPattern:
		path := req.URL.EscapedPath()
		return slices.ContainsFunc(c.Values, func(v string) bool { return wildcard(v, path) })
	case HTTPMethod:
		return slices.Contains(c.Values, req.Method)
	case HostHeader:
		host := req.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		return c.matchesFold(host)
	case HTTPHeader:
		return slices.ContainsFunc(req.Header.Values(c.Header), c.matchesFold)
	}
	return false
}

func (c *Condition) matchesFold(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(c.Values, func(v string) bool { return wildcard(strings.ToLower(v), s) })
}

// wildcard reports whether s matches pattern, in which * is any run of bytes
// and ? is one byte. It takes time proportional to len(pattern)*len(s) at most.
func wildcard(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// route is a rule joined with its target groups, as the data path reads it.
type route struct {
	rule *Rule
	// shares are the rule's, or those of the rule that it follows.
	shares []WeightedGroup
	groups []*group
	total  uint64
	turn   atomic.Uint64
}

// choose picks the target group for one request, by weight. It returns nil when
// every weight is 0. Turns are spread by the golden ratio, so that any stretch
// of requests, however short, is close to the weights.
func (r *route) choose() *group {
	if r.total == 0 {
		return nil
	}
	if len(r.groups) == 1 {
		return r.groups[0]
	}
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	at, _ := bits.Mul64(r.turn.Add(1)*golden, r.total)
	for i, w := range r.shares {
		weight := uint64(w.Weight) //nolint:gosec // 0 to maxWeight
		if at < weight {
			return r.groups[i]
		}
		at -= weight
	}
	return nil
}
