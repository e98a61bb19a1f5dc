package parameters

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// AddTagsToResource adds tags to a parameter, or replaces those with the same
// key.
func (s *Store) AddTagsToResource(_ context.Context, in *ssm.AddTagsToResourceInput) (*ssm.AddTagsToResourceOutput, error) {
	err := s.retag(in.ResourceType, in.ResourceId, func(r *record) {
		for _, tag := range in.Tags {
			r.untag(aws.ToString(tag.Key))
			r.Tags = append(r.Tags, tag)
		}
	})
	return &ssm.AddTagsToResourceOutput{}, err
}

// RemoveTagsFromResource removes tags of a parameter by key.
func (s *Store) RemoveTagsFromResource(_ context.Context, in *ssm.RemoveTagsFromResourceInput) (*ssm.RemoveTagsFromResourceOutput, error) {
	err := s.retag(in.ResourceType, in.ResourceId, func(r *record) {
		for _, key := range in.TagKeys {
			r.untag(key)
		}
	})
	return &ssm.RemoveTagsFromResourceOutput{}, err
}

func (r *record) untag(key string) {
	r.Tags = slices.DeleteFunc(r.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == key })
}

func (s *Store) retag(kind types.ResourceTypeForTagging, id *string, fn func(*record)) error {
	return s.state.Update(func(tx *state.Tx) error {
		r, err := s.tagged(tx, kind, id)
		if err != nil {
			return err
		}
		fn(r)
		return tx.Put(bucket, r.Name, r)
	})
}

func (s *Store) tagged(tx *state.Tx, kind types.ResourceTypeForTagging, id *string) (*record, error) {
	if kind != types.ResourceTypeForTaggingParameter {
		return nil, &types.InvalidResourceType{Message: aws.String(fmt.Sprintf("the local cluster has no tags of a %s", kind))}
	}
	name, _ := s.plain(aws.ToString(id))
	r, err := read(tx, name)
	if err != nil {
		return nil, &types.InvalidResourceId{Message: aws.String("There is no parameter " + name + ".")}
	}
	return r, nil
}

// ListTagsForResource lists the tags of a parameter.
func (s *Store) ListTagsForResource(_ context.Context, in *ssm.ListTagsForResourceInput) (*ssm.ListTagsForResourceOutput, error) {
	out := &ssm.ListTagsForResourceOutput{TagList: []types.Tag{}}
	err := s.state.View(func(tx *state.Tx) error {
		r, err := s.tagged(tx, in.ResourceType, in.ResourceId)
		if err == nil {
			out.TagList = append(out.TagList, r.Tags...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// matchesAll applies filters as Systems Manager does: each must hold, through
// any of its values.
func matchesAll(r *record, filters []types.ParameterStringFilter) bool {
	return !slices.ContainsFunc(filters, func(f types.ParameterStringFilter) bool { return !matches(r, f) })
}

func matches(r *record, f types.ParameterStringFilter) bool {
	key, option := aws.ToString(f.Key), aws.ToString(f.Option)
	if tag, ok := strings.CutPrefix(key, "tag:"); ok {
		return slices.ContainsFunc(r.Tags, func(t types.Tag) bool {
			return aws.ToString(t.Key) == tag && (len(f.Values) == 0 || slices.Contains(f.Values, aws.ToString(t.Value)))
		})
	}
	return slices.ContainsFunc(f.Values, func(want string) bool {
		switch key {
		case "Name":
			return compare(r.Name, option, want)
		case "Path":
			below, ok := strings.CutPrefix(r.Name, strings.TrimSuffix(want, "/")+"/")
			return ok && (option == "Recursive" || !strings.Contains(below, "/"))
		case "Type":
			return compare(string(r.Type), option, want)
		case "Tier":
			return compare(string(r.Tier), option, want)
		case "KeyId":
			return compare(aws.ToString(r.KeyID), option, want)
		case "DataType":
			return compare(r.DataType, option, want)
		default:
			return false
		}
	})
}

func compare(got, option, want string) bool {
	switch option {
	case "BeginsWith":
		return strings.HasPrefix(got, want)
	case "Contains":
		return strings.Contains(got, want)
	default:
		return got == want
	}
}
