package image

import (
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// searchPath is PATH inside the image: there is one program.
const searchPath = "PATH=/app"

// assemble makes the index of all platforms. It is always an index, also of
// one platform, so that a release is the same kind of thing everywhere.
func assemble(service string, base *layer, apps []app, labels map[string]string) (Result, error) {
	result := Result{Labels: maps.Clone(labels)}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, a := range apps {
		img, err := assembleOne(service, base, a, labels)
		if err != nil {
			return Result{}, fmt.Errorf("assemble image for %s: %w", a.platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: a.platform.oci()},
		})
		digest, err := img.Digest()
		if err != nil {
			return Result{}, fmt.Errorf("digest image for %s: %w", a.platform, err)
		}
		result.Images = append(result.Images, Built{
			Platform: a.platform, Digest: digest.String(), Binary: a.binary, BinaryBytes: a.layer.meta.Bytes, BinaryDigest: "sha256:" + a.layer.binary,
			BaseBytes: base.meta.Size, AppBytes: a.layer.meta.Size, Cached: a.layer.cached,
		})
	}
	index, err := annotate(index, labels)
	if err != nil {
		return Result{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return Result{}, fmt.Errorf("digest index: %w", err)
	}
	result.Digest, result.Index = digest.String(), index
	return result, nil
}

func assembleOne(service string, base *layer, a app, labels map[string]string) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, part := range []struct {
		layer *layer
		made  string
	}{{base, "certificates, time zones, user"}, {a.layer, "go build"}} {
		full, err := partial.CompressedToLayer(part.layer)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{
			Layer:     full,
			MediaType: types.MediaType(part.layer.meta.MediaType),
			History:   v1.History{CreatedBy: part.made, Created: v1.Time{Time: epoch}},
		})
		if err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = a.platform.OS, a.platform.Arch
	config.Created = v1.Time{Time: epoch}
	config.Config = v1.Config{
		Entrypoint: []string{"/app/" + service},
		User:       User,
		WorkingDir: "/",
		Env:        []string{searchPath},
		Labels:     maps.Clone(labels),
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	return annotate(img, labels)
}

// annotate gives an image or index its annotations. It has to be the last
// change made: go-containerregistry's other mutations look through it.
func annotate[T partial.WithRawManifest](what T, labels map[string]string) (T, error) {
	if len(labels) == 0 {
		return what, nil
	}
	annotated, ok := mutate.Annotations(what, labels).(T)
	if !ok {
		return what, fmt.Errorf("annotate %T: it came back as another type", what)
	}
	return annotated, nil
}
