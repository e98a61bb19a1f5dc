// Package parameters is the embedded cluster's Systems Manager parameter
// store. Values, SecureString ones too, are kept as they are in the cluster's
// state file, which only its owner may read (mode 0600).
package parameters

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const (
	bucket = "parameters"

	// Systems Manager's limits on a value, in bytes, by tier.
	maxStandard = 4 << 10
	maxAdvanced = 8 << 10
	// maxLevels is how deep a name may be (/1/2/.../15).
	maxLevels = 15
	// keptVersions is how many versions of a parameter are kept.
	keptVersions = 100
)

// Config is what a Store needs.
type Config = site.Config

// Store holds parameters. Its operations may be called over the wire or in
// process; they behave the same.
type Store struct {
	state  *state.Store
	clock  clockwork.Clock
	prefix string // of every ARN, without the slash in front of a name
}

// New makes a Store on the cluster's state.
func New(config Config) (*Store, error) {
	if err := config.Complete("parameters"); err != nil {
		return nil, err
	}
	return &Store{
		state:  config.State,
		clock:  config.Clock,
		prefix: config.ARN("ssm", "parameter"),
	}, nil
}

// API describes the operations that are served.
func (s *Store) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{Target: "AmazonSSM", Signing: "ssm", Names: wire.Pascal},
		Operations: map[string]wire.Operation{
			"AddTagsToResource":      wire.Op(s.AddTagsToResource),
			"DeleteParameter":        wire.Op(s.DeleteParameter),
			"DeleteParameters":       wire.Op(s.DeleteParameters),
			"DescribeParameters":     wire.Op(s.DescribeParameters),
			"GetParameter":           wire.Op(s.GetParameter),
			"GetParameterHistory":    wire.Op(s.GetParameterHistory),
			"GetParameters":          wire.Op(s.GetParameters),
			"GetParametersByPath":    wire.Op(s.GetParametersByPath),
			"ListTagsForResource":    wire.Op(s.ListTagsForResource),
			"PutParameter":           wire.Op(s.PutParameter),
			"RemoveTagsFromResource": wire.Op(s.RemoveTagsFromResource),
		},
	}
}

// record is one parameter as stored, its versions oldest first.
type record struct {
	Name           string
	Type           types.ParameterType
	DataType       string
	Tier           types.ParameterTier
	KeyID          *string
	Description    *string
	AllowedPattern *string
	Tags           []types.Tag
	Versions       []version
}

// version is one value of a parameter.
type version struct {
	Number   int64
	Value    string
	Modified time.Time
}

func (r *record) latest() version { return r.Versions[len(r.Versions)-1] }

// arn has one slash between "parameter" and the name, whether the name begins
// with one or not.
func (s *Store) arn(name string) string { return s.prefix + "/" + strings.TrimPrefix(name, "/") }

func (s *Store) parameter(r *record, v version, selector string) types.Parameter {
	p := types.Parameter{
		ARN: aws.String(s.arn(r.Name)), Name: &r.Name, Type: r.Type, DataType: &r.DataType,
		Value: &v.Value, Version: v.Number, LastModifiedDate: &v.Modified,
	}
	if selector != "" {
		p.Selector = aws.String(":" + selector)
	}
	return p
}

// find reads the parameter that name means: a name or an ARN, with an
// optional :VERSION.
func (s *Store) find(tx *state.Tx, name string) (types.Parameter, error) {
	name, selector := s.plain(name)
	r, err := read(tx, name)
	if err != nil {
		return types.Parameter{}, err
	}
	if selector == "" {
		return s.parameter(r, r.latest(), ""), nil
	}
	number, err := strconv.ParseInt(selector, 10, 64)
	for _, v := range r.Versions {
		if err == nil && v.Number == number {
			return s.parameter(r, v, selector), nil
		}
	}
	return types.Parameter{}, &types.ParameterVersionNotFound{Message: aws.String(fmt.Sprintf(
		"Systems Manager could not find version %s of %s. Verify the version and try again.", selector, name))}
}

// plain takes the ARN's prefix and the selector off a name.
func (s *Store) plain(name string) (plain, selector string) {
	if rest, ok := strings.CutPrefix(name, "arn:"); ok {
		if _, resource, ok := strings.Cut(rest, ":parameter/"); ok {
			name = "/" + resource
		}
	}
	plain, selector, _ = strings.Cut(name, ":")
	return plain, selector
}

// read finds a parameter by its name. "/a" and "a" differ, except that an
// ARN cannot tell them apart.
func read(tx *state.Tx, name string) (*record, error) {
	candidates := []string{name}
	if short := strings.TrimPrefix(name, "/"); short != name && !strings.Contains(short, "/") {
		candidates = append(candidates, short)
	}
	for _, candidate := range candidates {
		var r record
		found, err := tx.Get(bucket, candidate, &r)
		if err != nil {
			return nil, fmt.Errorf("read parameter: %w", err)
		}
		if found {
			return &r, nil
		}
	}
	return nil, &types.ParameterNotFound{}
}

// Value reads a parameter's value by name or ARN.
func (s *Store) Value(ctx context.Context, name string) (string, error) {
	out, err := s.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Parameter.Value), nil
}

// each calls fn for every parameter whose name starts with prefix, by name.
func (s *Store) each(prefix string, fn func(*record) error) error {
	return s.state.View(func(tx *state.Tx) error {
		return tx.List(bucket, prefix, func(_ string, raw []byte) error {
			var r record
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("decode parameter: %w", err)
			}
			return fn(&r)
		})
	})
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > 1011 || !regexp.MustCompile(`^[a-zA-Z0-9_.\-/]+$`).MatchString(name):
		return validation("Parameter name: can't be empty and may contain letters, digits and _.-/ only.")
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return validation("Parameter name must be a fully qualified name.")
	case strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return validation("Parameter name must not have empty levels.")
	case strings.Count(name, "/") > maxLevels:
		return &types.HierarchyLevelLimitExceededException{Message: aws.String(
			fmt.Sprintf("Hierarchy level is limited to %d levels.", maxLevels))}
	}
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	if strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm") {
		return validation(`Parameter name: can't be prefixed with "ssm" or "aws" (case-insensitive).`)
	}
	return nil
}
