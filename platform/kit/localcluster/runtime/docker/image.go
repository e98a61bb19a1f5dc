package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
)

// ferryRepository is the name of the ferry's image in the engine, the first
// digits of what is in it its tag.
const ferryRepository = "slipway-ferry"

// importFerry makes an image of the ferry's program, unless the engine has it,
// and returns its id.
func (e *Engine) importFerry(ctx context.Context, program, dir string) (string, error) {
	raw, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("read the ferry's program: %w", err)
	}
	sum := sha256.Sum256(append(raw, dir...))
	ref := ferryRepository + ":" + hex.EncodeToString(sum[:6])
	if have, err := e.api.ImageInspect(ctx, ref); err == nil {
		return have.ID, nil
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = w.WriteHeader(&tar.Header{Name: "ferry", Mode: 0o555, Size: int64(len(raw)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = w.Write(raw)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", fmt.Errorf("pack the ferry's program: %w", err)
	}
	progress, err := e.api.ImageImport(ctx, client.ImageImportSource{Source: &archive, SourceName: "-"}, ferryRepository, client.ImageImportOptions{
		Tag: hex.EncodeToString(sum[:6]), Changes: []string{`ENTRYPOINT ["/ferry"]`, "LABEL " + labelState + "=" + quote(dir)},
	})
	if err == nil {
		err = drain(progress)
	}
	if err != nil {
		return "", fmt.Errorf("import the ferry's image: %w", err)
	}
	have, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("find the ferry's image: %w", err)
	}
	return have.ID, nil
}

// quote makes one word of a value in a Dockerfile's line.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}

// image is an image that the engine has.
type image struct {
	rootfs.Image

	// id is what a container is made of, name what else the engine calls it.
	id, name string
}

// fetch gives the engine an image of the registry. Its error is a stopped
// reason.
func (e *Engine) fetch(ctx context.Context, ref string, login func(context.Context) (string, string, error)) (image, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return image{}, fmt.Errorf("CannotPullContainerError: invalid reference %q: %w", ref, err)
	}
	local := ref
	if !e.zstd {
		local = loadedName(parsed)
	}
	if _, byDigest := parsed.(name.Digest); byDigest { // the same digest is the same image
		if img, err := e.find(ctx, local, parsed); err == nil {
			return img, nil
		}
	}
	user, password, err := login(ctx)
	if err != nil {
		return image{}, fmt.Errorf("CannotPullContainerError: log in to the registry: %w", err)
	}
	if e.zstd {
		err = e.pull(ctx, ref, user, password)
	} else {
		err = e.load(ctx, parsed, local, &authn.Basic{Username: user, Password: password})
	}
	if err != nil {
		return image{}, fmt.Errorf("CannotPullContainerError: %s", reason(ref, err))
	}
	img, err := e.find(ctx, local, parsed)
	if err != nil {
		return image{}, fmt.Errorf("CannotPullContainerError: %s", reason(ref, err))
	}
	return img, nil
}

// pull has the engine fetch the image itself.
func (e *Engine) pull(ctx context.Context, ref, user, password string) error {
	auth, err := authconfig.Encode(registry.AuthConfig{Username: user, Password: password})
	if err != nil {
		return fmt.Errorf("encode login: %w", err)
	}
	progress, err := e.api.ImagePull(ctx, ref, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	return errors.Join(progress.Wait(ctx), progress.Close())
}

// errPlatform marks an image for other machines.
var errPlatform = errors.New("no matching manifest for linux/" + runtime.GOARCH)

// find is an image that the engine has under a name, with its own configuration.
func (e *Engine) find(ctx context.Context, local string, ref name.Reference) (image, error) {
	got, err := e.api.ImageInspect(ctx, local)
	if err != nil {
		return image{}, err
	}
	if got.Os != "linux" || got.Architecture != runtime.GOARCH {
		return image{}, fmt.Errorf("%w: it is for %s/%s", errPlatform, got.Os, got.Architecture)
	}
	img := image{Image: rootfs.Image{Digest: got.ID}, id: got.ID, name: local}
	if digest, ok := ref.(name.Digest); ok {
		img.Digest = digest.DigestStr()
	} else if len(got.RepoDigests) > 0 {
		_, img.Digest, _ = strings.Cut(got.RepoDigests[0], "@")
	}
	if c := got.Config; c != nil {
		img.Config = v1.Config{
			User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, StopSignal: c.StopSignal,
		}
	}
	return img, nil
}

// reason words a failed pull as ECS does.
func reason(ref string, err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "no matching manifest"), strings.Contains(text, "no child with platform"), strings.Contains(text, "does not match the specified platform"):
		return fmt.Sprintf("image Manifest does not contain descriptor matching platform 'linux/%s' (%s)", runtime.GOARCH, ref)
	case errdefs.IsNotFound(err), strings.Contains(text, "manifest unknown"), strings.Contains(text, "MANIFEST_UNKNOWN"), strings.Contains(text, "not found"):
		return fmt.Sprintf("failed to resolve ref %s: not found", ref)
	case strings.Contains(text, "no basic auth"), strings.Contains(strings.ToLower(text), "unauthorized"), strings.Contains(text, "denied"):
		return fmt.Sprintf("pull image manifest: %s: authorization failed: no basic auth credentials", ref)
	case lost(err):
		return "the Docker engine does not answer: " + text
	default:
		return fmt.Sprintf("pull image %s: %s", ref, text)
	}
}
