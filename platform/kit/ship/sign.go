package ship

import (
	"context"
	"debug/buildinfo"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// signing gives a build its evidence. Nothing of it is waited for that can be
// done beside the compiler or the push: what is left at the end is one round
// trip that attaches it.
type signing struct {
	store      *attest.Store // nil signs nothing
	repository string

	pending *attest.Pending
	added   int
}

// build builds and pushes the release, and attaches what was signed.
func (s *signing) build(ctx context.Context, cfg release.Config) (release.Release, error) {
	if s.store == nil {
		made, _, err := release.Build(ctx, cfg)
		return made, err
	}
	var (
		made   release.Release
		result image.Result
	)
	cfg.Beside = s.prepare
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.store.Warm(groupCtx, s.repository) })
	group.Go(func() (err error) {
		made, result, err = release.Build(groupCtx, cfg)
		return err
	})
	if err := group.Wait(); err != nil {
		return made, err
	}
	subject, err := subjectOf(result)
	if err != nil {
		return made, err
	}
	s.added, err = s.pending.Attach(ctx, subject)
	return made, err
}

// prepare is done beside the push.
func (s *signing) prepare(ctx context.Context, made release.Release, result image.Result) error {
	var binaries []bom.Binary
	for _, b := range result.Images {
		info, err := buildinfo.ReadFile(b.Binary)
		if err != nil {
			return fmt.Errorf("read build information of %s for %s: %w", made.Service, b.Platform, err)
		}
		binaries = append(binaries, bom.Binary{Platform: b.Platform.String(), Digest: b.BinaryDigest, Info: info})
	}
	var err error
	s.pending, err = s.store.Prepare(ctx, s.repository, made, binaries)
	return err
}

func subjectOf(built image.Result) (referrer.Subject, error) {
	mediaType, err := built.Index.MediaType()
	if err != nil {
		return referrer.Subject{}, fmt.Errorf("read index: %w", err)
	}
	size, err := built.Index.Size()
	if err != nil {
		return referrer.Subject{}, fmt.Errorf("read index: %w", err)
	}
	return referrer.Subject{MediaType: string(mediaType), Digest: built.Digest, Size: size}, nil
}

// summary says in a word what was done.
func (s *signing) summary() string {
	switch {
	case s.store == nil:
		return ""
	case s.added == 0:
		return ", signed already"
	}
	return ", signed"
}
