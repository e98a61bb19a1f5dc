package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// The tags that Render puts on a revision, by which it is found again.
const (
	TagRelease     = "slipway:release"     // version of the release
	TagDigest      = "slipway:digest"      // sha256:... of its image
	TagService     = "slipway:service"     // service name
	TagEnvironment = "slipway:environment" // environment name
	TagFingerprint = "slipway:fingerprint" // Fingerprint of the definition before tagging
	LabelRelease   = "slipway.release"     // docker label with the release version
)

// Release is what Render puts into the template.
type Release struct {
	Version string            // release version, becomes SERVICE_VERSION
	Image   string            // image by digest: registry/slipway/catalog@sha256:...
	Env     map[string]string // more variables; none may be in the template already
}

// Render fills the template in with a release and returns the input of
// RegisterTaskDefinition. Every container that has the placeholder gets the
// image (the service's own, and an init container made of it); the service's
// container gets SERVICE_VERSION. Everything else that the template says stays
// as it is: a variable of r.Env that the template sets too is an error.
func (c Contract) Render(r Release) (json.RawMessage, error) {
	definition, err := c.render(r)
	if err != nil {
		return nil, fmt.Errorf("render task definition of %s in %s: %w", c.Service, c.Environment, err)
	}
	return definition, nil
}

func (c Contract) render(r Release) (json.RawMessage, error) {
	_, digest, ok := strings.Cut(r.Image, "@")
	if !ok || !strings.HasPrefix(digest, "sha256:") {
		return nil, fmt.Errorf("image %q is not given by digest", r.Image)
	}
	if r.Version == "" {
		return nil, fmt.Errorf("image %q comes without a release version", r.Image)
	}
	if err := c.validateTemplate(); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(c.TaskDefinition))
	dec.UseNumber()
	var definition map[string]any
	if err := dec.Decode(&definition); err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	containers, _ := definition["containerDefinitions"].([]any)
	for _, item := range containers {
		container, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("read template: a container definition is not an object")
		}
		if container["image"] == Placeholder {
			container["image"] = r.Image
		}
		if container["name"] == c.Container {
			if err := mark(container, r); err != nil {
				return nil, err
			}
		}
	}
	fingerprint, err := fingerprint(definition)
	if err != nil {
		return nil, err
	}
	definition["tags"] = tagged(definition["tags"], map[string]string{
		TagRelease: r.Version, TagDigest: digest, TagService: c.Service,
		TagEnvironment: c.Environment, TagFingerprint: fingerprint,
	})
	return json.Marshal(definition)
}

// mark puts the release into the service's container.
func mark(container map[string]any, r Release) error {
	env := list(container["environment"])
	present := map[string]bool{}
	for _, item := range env {
		if pair, ok := item.(map[string]any); ok {
			if name, ok := pair["name"].(string); ok {
				present[name] = true
			}
		}
	}
	for _, name := range sortedKeys(r.Env) {
		if present[name] {
			return fmt.Errorf("variable %s is set by the contract's template already", name)
		}
		env = append(env, map[string]any{"name": name, "value": r.Env[name]})
	}
	kept := make([]any, 0, len(env)+1)
	for _, item := range env {
		if pair, ok := item.(map[string]any); ok && pair["name"] == "SERVICE_VERSION" {
			continue
		}
		kept = append(kept, item)
	}
	container["environment"] = append(kept, map[string]any{"name": "SERVICE_VERSION", "value": r.Version})
	labels, ok := container["dockerLabels"].(map[string]any)
	if !ok {
		labels = map[string]any{}
	}
	labels[LabelRelease] = r.Version
	container["dockerLabels"] = labels
	return nil
}

// tagged returns the template's tags with ours added, ours winning.
func tagged(old any, ours map[string]string) []any {
	var tags []any
	for _, item := range list(old) {
		if tag, ok := item.(map[string]any); ok {
			if key, ok := tag["key"].(string); ok {
				if _, mine := ours[key]; mine {
					continue
				}
			}
		}
		tags = append(tags, item)
	}
	for _, key := range sortedKeys(ours) {
		tags = append(tags, map[string]any{"key": key, "value": ours[key]})
	}
	return tags
}

func list(v any) []any {
	items, _ := v.([]any)
	return items
}

// fingerprint returns a short hash of a definition; equal definitions have
// equal fingerprints whatever the order of their members was.
func fingerprint(definition map[string]any) (string, error) {
	data, err := json.Marshal(definition) // map keys are sorted
	if err != nil {
		return "", fmt.Errorf("hash definition: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}

// FingerprintOf returns the fingerprint tag of a rendered definition, or ""
// when it has none.
func FingerprintOf(rendered json.RawMessage) string {
	var d struct {
		Tags []struct{ Key, Value string } `json:"tags"`
	}
	if json.Unmarshal(rendered, &d) != nil {
		return ""
	}
	for _, tag := range d.Tags {
		if tag.Key == TagFingerprint {
			return tag.Value
		}
	}
	return ""
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
