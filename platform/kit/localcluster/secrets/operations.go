package secrets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// CreateSecret makes a secret, with a first version when a value is given. A
// name that is taken is a ResourceExistsException, unless the request is a
// repetition of the one that made it.
func (s *Store) CreateSecret(_ context.Context, in *secretsmanager.CreateSecretInput) (*secretsmanager.CreateSecretOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkValue(in.SecretString, in.SecretBinary); err != nil {
		return nil, err
	}
	var out *secretsmanager.CreateSecretOutput
	err := s.state.Update(func(tx *state.Tx) error {
		var old record
		found, err := tx.Get(bucket, name, &old)
		if err != nil {
			return fmt.Errorf("read secret: %w", err)
		}
		switch {
		case !found || s.isGone(&old):
		case old.Deleted != nil:
			return &types.InvalidRequestException{Message: aws.String(
				"You can't create this secret because a secret with this name is already scheduled for deletion.")}
		default:
			v, repeated := old.Versions[aws.ToString(in.ClientRequestToken)]
			if !repeated || !v.sameValue(in.SecretString, in.SecretBinary) {
				return &types.ResourceExistsException{Message: aws.String(
					fmt.Sprintf("The operation failed because the secret %s already exists.", name))}
			}
			out = &secretsmanager.CreateSecretOutput{ARN: &old.ARN, Name: &old.Name, VersionId: &v.ID}
			return nil
		}
		now := s.clock.Now().UTC()
		r := record{
			ARN: s.prefix + name + "-" + random(6), Name: name, Description: in.Description, KMSKeyID: in.KmsKeyId,
			Type: in.Type, Created: now, Changed: now, Tags: in.Tags, Versions: map[string]version{},
		}
		out = &secretsmanager.CreateSecretOutput{ARN: &r.ARN, Name: &r.Name}
		if in.SecretString != nil || in.SecretBinary != nil {
			id := s.add(&r, in.ClientRequestToken, in.SecretString, in.SecretBinary, nil)
			out.VersionId = &id
		}
		return tx.Put(bucket, name, r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// add puts a new version into a record and returns its id.
func (s *Store) add(r *record, token, text *string, binary []byte, stages []string) string {
	id := aws.ToString(token)
	if id == "" {
		id = newVersionID()
	}
	if len(stages) == 0 {
		stages = []string{stageCurrent}
	}
	now := s.clock.Now().UTC()
	if r.Versions == nil {
		r.Versions = map[string]version{}
	}
	r.Versions[id] = version{ID: id, String: text, Binary: binary, Created: now}
	r.Changed = now
	r.attach(id, stages)
	return id
}

// PutSecretValue adds a version, which becomes AWSCURRENT unless stages are
// named.
func (s *Store) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput) (*secretsmanager.PutSecretValueOutput, error) {
	if err := checkValue(in.SecretString, in.SecretBinary); err != nil {
		return nil, err
	}
	if in.SecretString == nil && in.SecretBinary == nil {
		return nil, invalidParameter("You must provide either SecretString or SecretBinary.")
	}
	out := &secretsmanager.PutSecretValueOutput{}
	err := s.change(in.SecretId, func(r *record) error {
		id := aws.ToString(in.ClientRequestToken)
		if v, repeated := r.Versions[id]; !repeated {
			id = s.add(r, in.ClientRequestToken, in.SecretString, in.SecretBinary, in.VersionStages)
		} else if !v.sameValue(in.SecretString, in.SecretBinary) {
			return versionExists(id)
		}
		out.ARN, out.Name, out.VersionId = &r.ARN, &r.Name, &id
		out.VersionStages = r.Versions[id].Stages
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func versionExists(id string) error {
	return &types.ResourceExistsException{Message: aws.String(fmt.Sprintf(
		"You can't use ClientRequestToken %s because that value is already in use for a version of this secret.", id))}
}

// UpdateSecret changes what describes a secret, and adds a version when a
// value is given.
func (s *Store) UpdateSecret(_ context.Context, in *secretsmanager.UpdateSecretInput) (*secretsmanager.UpdateSecretOutput, error) {
	if err := checkValue(in.SecretString, in.SecretBinary); err != nil {
		return nil, err
	}
	out := &secretsmanager.UpdateSecretOutput{}
	err := s.change(in.SecretId, func(r *record) error {
		r.Changed = s.clock.Now().UTC()
		r.Description = or(in.Description, r.Description)
		r.KMSKeyID = or(in.KmsKeyId, r.KMSKeyID)
		r.Type = or(in.Type, r.Type)
		out.ARN, out.Name = &r.ARN, &r.Name
		if in.SecretString == nil && in.SecretBinary == nil {
			return nil
		}
		id := aws.ToString(in.ClientRequestToken)
		if v, repeated := r.Versions[id]; !repeated {
			id = s.add(r, in.ClientRequestToken, in.SecretString, in.SecretBinary, nil)
		} else if !v.sameValue(in.SecretString, in.SecretBinary) {
			return versionExists(id)
		}
		out.VersionId = &id
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func or(s, otherwise *string) *string {
	if s != nil {
		return s
	}
	return otherwise
}

// GetSecretValue reads a version: by id, by stage, by both, or AWSCURRENT.
func (s *Store) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
	r, err := s.view(in.SecretId)
	if err != nil {
		return nil, err
	}
	if r.Deleted != nil {
		return nil, markedForDeletion()
	}
	id, stage := aws.ToString(in.VersionId), aws.ToString(in.VersionStage)
	var v version
	var found bool
	switch {
	case id != "":
		v, found = r.Versions[id]
		if !found {
			return nil, noVersion("VersionId", id)
		}
		if stage != "" && !slices.Contains(v.Stages, stage) {
			return nil, &types.InvalidRequestException{Message: aws.String(
				"You provided a VersionStage that is not associated to the provided VersionId.")}
		}
	default:
		if stage == "" {
			stage = stageCurrent
		}
		if v, found = r.staged(stage); !found {
			return nil, noVersion("staging label", stage)
		}
	}
	return &secretsmanager.GetSecretValueOutput{
		ARN: &r.ARN, Name: &r.Name, CreatedDate: &v.Created, VersionId: &v.ID, VersionStages: v.Stages,
		SecretString: v.String, SecretBinary: v.Binary,
	}, nil
}

// DescribeSecret tells all about a secret but its values.
func (s *Store) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput) (*secretsmanager.DescribeSecretOutput, error) {
	r, err := s.view(in.SecretId)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.DescribeSecretOutput{
		ARN: &r.ARN, Name: &r.Name, Description: r.Description, KmsKeyId: r.KMSKeyID, Type: r.Type,
		CreatedDate: &r.Created, LastChangedDate: &r.Changed, DeletedDate: r.Deleted, Tags: r.Tags,
		VersionIdsToStages: r.stages(),
	}, nil
}

// DeleteSecret marks a secret for deletion in 7 to 30 days (30 when not said),
// or removes it at once.
func (s *Store) DeleteSecret(_ context.Context, in *secretsmanager.DeleteSecretInput) (*secretsmanager.DeleteSecretOutput, error) {
	days, force := int64(30), aws.ToBool(in.ForceDeleteWithoutRecovery)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
		if force {
			return nil, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days < 7 || days > 30 {
			return nil, invalidParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	out := &secretsmanager.DeleteSecretOutput{}
	err := s.state.Update(func(tx *state.Tx) error {
		r, err := s.find(tx, aws.ToString(in.SecretId))
		if err != nil {
			return err
		}
		out.ARN, out.Name = &r.ARN, &r.Name
		at := s.clock.Now().UTC()
		if force {
			out.DeletionDate = &at
			return tx.Delete(bucket, r.Name)
		}
		if r.Deleted != nil {
			return markedForDeletion()
		}
		at = at.Add(time.Duration(days) * 24 * time.Hour)
		r.Deleted, out.DeletionDate = &at, &at
		return tx.Put(bucket, r.Name, r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// RestoreSecret takes the mark for deletion off a secret.
func (s *Store) RestoreSecret(_ context.Context, in *secretsmanager.RestoreSecretInput) (*secretsmanager.RestoreSecretOutput, error) {
	out := &secretsmanager.RestoreSecretOutput{}
	err := s.state.Update(func(tx *state.Tx) error {
		r, err := s.find(tx, aws.ToString(in.SecretId))
		if err != nil {
			return err
		}
		r.Deleted = nil
		out.ARN, out.Name = &r.ARN, &r.Name
		return tx.Put(bucket, r.Name, r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// TagResource adds tags, or replaces those with the same key.
func (s *Store) TagResource(_ context.Context, in *secretsmanager.TagResourceInput) (*secretsmanager.TagResourceOutput, error) {
	err := s.change(in.SecretId, func(r *record) error {
		for _, tag := range in.Tags {
			r.untag(aws.ToString(tag.Key))
			r.Tags = append(r.Tags, tag)
		}
		return nil
	})
	return &secretsmanager.TagResourceOutput{}, err
}

// UntagResource removes tags by key.
func (s *Store) UntagResource(_ context.Context, in *secretsmanager.UntagResourceInput) (*secretsmanager.UntagResourceOutput, error) {
	err := s.change(in.SecretId, func(r *record) error {
		for _, key := range in.TagKeys {
			r.untag(key)
		}
		return nil
	})
	return &secretsmanager.UntagResourceOutput{}, err
}

func (r *record) untag(key string) {
	r.Tags = slices.DeleteFunc(r.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == key })
}

// GetResourcePolicy says that a secret has no policy, which is always so.
func (s *Store) GetResourcePolicy(_ context.Context, in *secretsmanager.GetResourcePolicyInput) (*secretsmanager.GetResourcePolicyOutput, error) {
	r, err := s.view(in.SecretId)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetResourcePolicyOutput{ARN: &r.ARN, Name: &r.Name}, nil
}

// ListSecrets lists by name. NextToken is the last name of the page before.
func (s *Store) ListSecrets(ctx context.Context, in *secretsmanager.ListSecretsInput) (*secretsmanager.ListSecretsOutput, error) {
	limit := int(aws.ToInt32(in.MaxResults))
	if limit == 0 {
		limit = 100
	}
	if limit < 1 || limit > 100 {
		return nil, invalidParameter("MaxResults must be between 1 and 100.")
	}
	records, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	if in.SortOrder == types.SortOrderTypeDesc {
		slices.Reverse(records)
	}
	out := &secretsmanager.ListSecretsOutput{SecretList: []types.SecretListEntry{}}
	past := in.NextToken == nil
	for _, r := range records {
		if !past {
			past = r.Name == *in.NextToken
			continue
		}
		if r.Deleted != nil && !aws.ToBool(in.IncludePlannedDeletion) || !matchesAll(&r, in.Filters) {
			continue
		}
		if len(out.SecretList) == limit {
			out.NextToken = out.SecretList[limit-1].Name
			break
		}
		out.SecretList = append(out.SecretList, types.SecretListEntry{
			ARN: &r.ARN, Name: &r.Name, Description: r.Description, KmsKeyId: r.KMSKeyID, Type: r.Type,
			CreatedDate: &r.Created, LastChangedDate: &r.Changed, DeletedDate: r.Deleted, Tags: r.Tags,
			SecretVersionsToStages: r.stages(),
		})
	}
	if !past {
		return nil, &types.InvalidNextTokenException{Message: aws.String("The NextToken value is invalid.")}
	}
	return out, nil
}

// matchesAll applies filters as Secrets Manager does: each must hold, through
// any of its values; a value is the start of what it is compared with, and
// after "!" what it must not start with.
func matchesAll(r *record, filters []types.Filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(value string) bool {
			want, negated := strings.CutPrefix(value, "!")
			return slices.ContainsFunc(r.facts(f.Key), func(fact string) bool { return strings.HasPrefix(fact, want) }) != negated
		}) {
			return false
		}
	}
	return true
}

func (r *record) facts(key types.FilterNameStringType) []string {
	var keys, values []string
	for _, tag := range r.Tags {
		keys, values = append(keys, aws.ToString(tag.Key)), append(values, aws.ToString(tag.Value))
	}
	switch key {
	case types.FilterNameStringTypeName:
		return []string{r.Name}
	case types.FilterNameStringTypeDescription:
		return []string{aws.ToString(r.Description)}
	case types.FilterNameStringTypeTagKey:
		return keys
	case types.FilterNameStringTypeTagValue:
		return values
	case types.FilterNameStringTypeAll:
		return slices.Concat([]string{r.Name, aws.ToString(r.Description)}, keys, values)
	default:
		return nil
	}
}
