// Package secrets is the embedded cluster's Secrets Manager, and the lookup of
// a task definition's secrets in it and in the parameter store.
//
// Values are kept in the cluster's state file, which only its owner may read
// (mode 0600). They are not encrypted: a key would lie beside them. Nothing
// but what a laptop needs belongs in here.
package secrets

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const (
	bucket = "secrets"

	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"

	// maxValue is Secrets Manager's limit on a value, in bytes.
	maxValue = 65536
	// keptVersions is how many versions without a stage are kept.
	keptVersions = 20
)

// Config is what a Store needs.
type Config = site.Config

// Store holds secrets. Its operations may be called over the wire or in
// process; they behave the same.
type Store struct {
	state  *state.Store
	clock  clockwork.Clock
	prefix string // of every ARN
}

// New makes a Store on the cluster's state.
func New(config Config) (*Store, error) {
	if err := config.Complete("secrets"); err != nil {
		return nil, err
	}
	return &Store{
		state:  config.State,
		clock:  config.Clock,
		prefix: config.ARN("secretsmanager", "secret:"),
	}, nil
}

// API describes the operations that are served.
func (s *Store) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{Target: "secretsmanager", Signing: "secretsmanager", Names: wire.Pascal},
		Operations: map[string]wire.Operation{
			"CreateSecret":      wire.Op(s.CreateSecret),
			"DeleteSecret":      wire.Op(s.DeleteSecret),
			"DescribeSecret":    wire.Op(s.DescribeSecret),
			"GetResourcePolicy": wire.Op(s.GetResourcePolicy),
			"GetSecretValue":    wire.Op(s.GetSecretValue),
			"ListSecrets":       wire.Op(s.ListSecrets),
			"PutSecretValue":    wire.Op(s.PutSecretValue),
			"RestoreSecret":     wire.Op(s.RestoreSecret),
			"TagResource":       wire.Op(s.TagResource),
			"UntagResource":     wire.Op(s.UntagResource),
			"UpdateSecret":      wire.Op(s.UpdateSecret),
		},
	}
}

// record is one secret as stored.
type record struct {
	ARN         string
	Name        string
	Description *string
	KMSKeyID    *string
	Type        *string
	Created     time.Time
	Changed     time.Time
	Deleted     *time.Time // when its recovery window ends
	Tags        []types.Tag
	Versions    map[string]version
}

// version is one value of a secret.
type version struct {
	ID      string
	String  *string
	Binary  []byte
	Stages  []string
	Created time.Time
}

func (v version) sameValue(text *string, binary []byte) bool {
	return aws.ToString(v.String) == aws.ToString(text) && string(v.Binary) == string(binary)
}

// staged finds the version that carries a stage.
func (r *record) staged(stage string) (version, bool) {
	for _, v := range r.Versions {
		if slices.Contains(v.Stages, stage) {
			return v, true
		}
	}
	return version{}, false
}

// attach gives the stages to version id and takes them from the others. The
// version that loses AWSCURRENT becomes AWSPREVIOUS.
func (r *record) attach(id string, stages []string) {
	if slices.Contains(stages, stageCurrent) {
		if old, ok := r.staged(stageCurrent); ok && old.ID != id {
			r.move(stagePrevious, old.ID)
		}
	}
	for _, stage := range stages {
		r.move(stage, id)
	}
	r.prune()
}

func (r *record) move(stage, id string) {
	for key, v := range r.Versions {
		v.Stages = slices.DeleteFunc(v.Stages, func(s string) bool { return s == stage })
		if key == id {
			v.Stages = append(v.Stages, stage)
		}
		r.Versions[key] = v
	}
}

// prune forgets the oldest versions that no stage refers to.
func (r *record) prune() {
	var loose []version
	for _, v := range r.Versions {
		if len(v.Stages) == 0 {
			loose = append(loose, v)
		}
	}
	slices.SortFunc(loose, func(a, b version) int { return b.Created.Compare(a.Created) })
	for _, v := range loose[min(len(loose), keptVersions):] {
		delete(r.Versions, v.ID)
	}
}

func (r *record) stages() map[string][]string {
	out := map[string][]string{}
	for id, v := range r.Versions {
		if len(v.Stages) > 0 {
			out[id] = v.Stages
		}
	}
	return out
}

// find reads the secret that id means: a name, an ARN, or an ARN without the
// random end (secretsmanager API reference, GetSecretValue, SecretId).
func (s *Store) find(tx *state.Tx, id string) (*record, error) {
	if id == "" {
		return nil, invalidParameter("You must provide a value for the SecretId parameter.")
	}
	names := []string{id}
	if rest, isARN := strings.CutPrefix(id, "arn:"); isARN {
		parts := strings.SplitN(rest, ":", 6) // aws:secretsmanager:REGION:ACCOUNT:secret:NAME
		if len(parts) < 6 {
			return nil, notFound()
		}
		names = []string{parts[5]}
		if cut := len(parts[5]) - 7; cut > 0 && parts[5][cut] == '-' {
			names = append(names, parts[5][:cut])
		}
	}
	for _, name := range names {
		var r record
		found, err := tx.Get(bucket, name, &r)
		if err != nil {
			return nil, fmt.Errorf("read secret: %w", err)
		}
		isThis := name == id || r.ARN == id || s.prefix+name == id
		if found && isThis && !s.isGone(&r) {
			return &r, nil
		}
	}
	return nil, notFound()
}

// isGone reports a deleted secret whose recovery window is over.
func (s *Store) isGone(r *record) bool {
	return r.Deleted != nil && !s.clock.Now().Before(*r.Deleted)
}

// change runs fn on a secret that is not marked for deletion and stores it.
func (s *Store) change(id *string, fn func(*record) error) error {
	return s.state.Update(func(tx *state.Tx) error {
		r, err := s.find(tx, aws.ToString(id))
		if err != nil {
			return err
		}
		if r.Deleted != nil {
			return markedForDeletion()
		}
		if err := fn(r); err != nil {
			return err
		}
		return tx.Put(bucket, r.Name, r)
	})
}

// view reads a secret.
func (s *Store) view(id *string) (*record, error) {
	var r *record
	err := s.state.View(func(tx *state.Tx) (err error) {
		r, err = s.find(tx, aws.ToString(id))
		return err
	})
	return r, err
}

// all reads every secret, in order of name.
func (s *Store) all(ctx context.Context) ([]record, error) {
	var out []record
	err := s.state.View(func(tx *state.Tx) error {
		return tx.List(bucket, "", func(_ string, raw []byte) error {
			var r record
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("decode secret: %w", err)
			}
			if !s.isGone(&r) {
				out = append(out, r)
			}
			return ctx.Err()
		})
	})
	return out, err
}

// random is n characters of the alphabet that AWS ends secrets' ARNs with.
func random(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, 0, n)
	var b [1]byte
	for len(out) < n {
		_, _ = rand.Read(b[:]) // never fails
		if int(b[0]) < 256/len(alphabet)*len(alphabet) {
			out = append(out, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(out)
}

func newVersionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func checkName(name string) error {
	if len(name) > 512 || !regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`).MatchString(name) {
		return invalidParameter("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return nil
}

func checkValue(text *string, binary []byte) error {
	switch {
	case text != nil && binary != nil:
		return invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case len(aws.ToString(text)) > maxValue || len(binary) > maxValue:
		return invalidParameter(fmt.Sprintf("The secret value is larger than %d bytes.", maxValue))
	}
	return nil
}

func notFound() error {
	return &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret.")}
}

func noVersion(what, value string) error {
	return &types.ResourceNotFoundException{Message: aws.String(
		fmt.Sprintf("Secrets Manager can't find the specified secret value for %s: %s", what, value))}
}

func markedForDeletion() error {
	return &types.InvalidRequestException{Message: aws.String(
		"You can't perform this operation on the secret because it was marked for deletion.")}
}

func invalidParameter(text string) error {
	return &types.InvalidParameterException{Message: aws.String(text)}
}
