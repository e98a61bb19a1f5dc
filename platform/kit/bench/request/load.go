package request

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// generator loads a subject and says how its requests went and what processor
// time of other processes than this one that took.
type generator func(ctx context.Context, s *subject, d time.Duration) (sample, error)

// load loads the subject and measures it meanwhile.
func (s *subject) load(ctx context.Context, by generator, d time.Duration) (sample, error) {
	service, err := s.processorTime()
	if err != nil {
		return sample{}, err
	}
	own := ownProcessorTime()
	out, err := by(ctx, s, d)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return sample{}, fmt.Errorf("load %s: %w", s.name, err)
	}
	out.generator += ownProcessorTime() - own
	out.resident = s.resident()
	after, err := s.processorTime()
	if err != nil {
		return sample{}, err
	}
	out.service = after - service
	s.requests.Add(int64(out.requests))
	return out, nil
}

// builtin asks for products without pause over every connection and checks each
// answer.
func builtin(ctx context.Context, s *subject, d time.Duration) (sample, error) {
	perWorker := make([][]time.Duration, connections)
	began := time.Now()
	end := began.Add(d)
	var g errgroup.Group
	for n := range connections {
		g.Go(func() (err error) {
			perWorker[n], err = s.ask(ctx, end, rand.New(rand.NewPCG(1, uint64(n)))) //nolint:gosec // any order will do
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return sample{}, err //nolint:wrapcheck // the workers' own
	}
	latencies := slices.Concat(perWorker...)
	slices.Sort(latencies)
	return sample{
		requests: len(latencies), took: time.Since(began), p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99),
	}, nil
}

// ask is one connection's part of the load.
func (s *subject) ask(ctx context.Context, end time.Time, choose *rand.Rand) ([]time.Duration, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetHost(s.address)
	req.Header.Set("Authorization", "Bearer "+s.token)
	var latencies []time.Duration
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
		n := choose.IntN(products)
		req.SetRequestURI(s.paths[n])
		if err := s.client.Do(req, resp); err != nil {
			return nil, fmt.Errorf("get %s: %w", s.paths[n], err)
		}
		if resp.StatusCode() != http.StatusOK || !bytes.Equal(resp.Body(), s.answers[n]) {
			return nil, fmt.Errorf("get %s: got %d %s, want %s", s.paths[n], resp.StatusCode(), resp.Body(), s.answers[n])
		}
		after := time.Now()
		latencies = append(latencies, after.Sub(now))
		now = after
	}
	return latencies, nil
}

// learn reads every product once; the load's answers must be the same.
func (s *subject) learn(ctx context.Context) error {
	s.paths, s.answers = make([]string, 0, products), make([][]byte, 0, products)
	for n := range products {
		path := fmt.Sprintf(productPath, n)
		body, err := s.get(ctx, path, http.StatusOK)
		if err != nil {
			return err
		}
		s.paths, s.answers = append(s.paths, "http://"+s.address+path), append(s.answers, body)
	}
	return nil
}

// get asks once over a connection of its own.
func (s *subject) get(ctx context.Context, path string, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, err)
	}
	if s.requests.Add(1); resp.StatusCode != want {
		return nil, fmt.Errorf("ask %s for %s: got %s: %s", s.name, path, resp.Status, body)
	}
	return body, nil
}

// agree checks that all programs say the same of every product.
func agree(subjects []*subject) error {
	for n := range products {
		var want any
		for i, s := range subjects {
			var got any
			if err := json.Unmarshal(s.answers[n], &got); err != nil {
				return fmt.Errorf("read the answer of %s: %w", s.name, err)
			}
			if i == 0 {
				want = got
			} else if !reflect.DeepEqual(got, want) {
				return fmt.Errorf("%s and %s differ: %s and %s", subjects[0].name, s.name, subjects[0].answers[n], s.answers[n])
			}
		}
	}
	return nil
}

// profile takes a processor profile of the subject under load.
func profile(ctx context.Context, cfg Config, by generator, s *subject) error {
	fmt.Fprintf(cfg.Progress, "profile %s\n", s.name)
	seconds := max(cfg.Seconds, 5)
	loading := make(chan error, 1)
	go func() {
		_, err := s.load(ctx, by, time.Duration(seconds+1)*time.Second)
		loading <- err
	}()
	inside := subject{name: s.name, address: s.internal}
	data, err := inside.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), http.StatusOK)
	if err = errors.Join(err, <-loading); err != nil {
		return err
	}
	if err := os.WriteFile(cfg.Profile, data, 0o600); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	return nil
}
