package parameters

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// PutParameter makes a parameter, or with Overwrite adds a version to it.
func (s *Store) PutParameter(_ context.Context, in *ssm.PutParameterInput) (*ssm.PutParameterOutput, error) {
	name := aws.ToString(in.Name)
	if err := errors.Join(checkName(name), checkValue(in)); err != nil {
		return nil, err
	}
	out := &ssm.PutParameterOutput{}
	err := s.state.Update(func(tx *state.Tx) error {
		var r record
		found, err := tx.Get(bucket, name, &r)
		if err != nil {
			return fmt.Errorf("read parameter: %w", err)
		}
		switch {
		case found && !aws.ToBool(in.Overwrite):
			return &types.ParameterAlreadyExists{Message: aws.String(
				"The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")}
		case found && len(in.Tags) > 0:
			return validation("Invalid request: tags and overwrite can't be used together.")
		case !found && in.Type == "":
			return validation("A parameter type is required when you create a parameter.")
		case !found:
			r = record{Name: name, DataType: "text", Tags: in.Tags}
		}
		if err := r.put(in); err != nil {
			return err
		}
		number := int64(1)
		if found {
			number = r.latest().Number + 1
		}
		r.Versions = append(r.Versions, version{Number: number, Value: *in.Value, Modified: s.clock.Now().UTC()})
		r.Versions = r.Versions[max(0, len(r.Versions)-keptVersions):]
		out.Version, out.Tier = number, r.Tier
		return tx.Put(bucket, name, r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// put takes over what the request says about the parameter itself.
func (r *record) put(in *ssm.PutParameterInput) error {
	if in.Type != "" {
		r.Type = in.Type
	}
	if in.DataType != nil {
		r.DataType = *in.DataType
	}
	switch in.Tier {
	case types.ParameterTierAdvanced:
		r.Tier = types.ParameterTierAdvanced
	case types.ParameterTierStandard:
		if r.Tier == types.ParameterTierAdvanced {
			return validation("This parameter uses the advanced-parameter tier. You can't downgrade it to the standard-parameter tier.")
		}
	case types.ParameterTierIntelligentTiering: // goes by the size
	}
	if len(*in.Value) > maxStandard && in.Tier == types.ParameterTierIntelligentTiering {
		r.Tier = types.ParameterTierAdvanced
	}
	if r.Tier == "" {
		r.Tier = types.ParameterTierStandard
	}
	if r.Tier == types.ParameterTierStandard && len(*in.Value) > maxStandard {
		return validation("Standard tier parameters support a maximum parameter value of 4096 characters. " +
			"To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.")
	}
	if in.Description != nil {
		r.Description = in.Description
	}
	if in.KeyId != nil {
		r.KeyID = in.KeyId
	}
	if r.Type == types.ParameterTypeSecureString && r.KeyID == nil {
		r.KeyID = aws.String("alias/aws/ssm")
	}
	if in.AllowedPattern != nil {
		r.AllowedPattern = in.AllowedPattern
	}
	return r.checkPattern(*in.Value)
}

func (r *record) checkPattern(value string) error {
	if aws.ToString(r.AllowedPattern) == "" {
		return nil
	}
	pattern, err := regexp.Compile(*r.AllowedPattern)
	if err != nil {
		return validation("The allowed pattern is not a regular expression.")
	}
	if !pattern.MatchString(value) {
		return &types.ParameterPatternMismatchException{Message: aws.String(
			"Parameter value, cannot be validated against allowedPattern: " + *r.AllowedPattern)}
	}
	return nil
}

func checkValue(in *ssm.PutParameterInput) error {
	switch {
	case aws.ToString(in.Value) == "":
		return validation("1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(*in.Value) > maxAdvanced:
		return validation(fmt.Sprintf("A parameter value is limited to %d bytes.", maxAdvanced))
	case in.Type != "" && !slices.Contains(in.Type.Values(), in.Type):
		return &types.UnsupportedParameterType{Message: aws.String(fmt.Sprintf("The parameter type %s isn't supported.", in.Type))}
	}
	return nil
}

// GetParameter reads one parameter, by name or ARN, with an optional :VERSION.
func (s *Store) GetParameter(_ context.Context, in *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
	out := &ssm.GetParameterOutput{}
	err := s.state.View(func(tx *state.Tx) error {
		p, err := s.find(tx, aws.ToString(in.Name))
		out.Parameter = &p
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetParameters reads up to ten parameters and names those that are not there.
func (s *Store) GetParameters(_ context.Context, in *ssm.GetParametersInput) (*ssm.GetParametersOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > 10 {
		return nil, validation("GetParameters takes 1 to 10 names.")
	}
	out := &ssm.GetParametersOutput{Parameters: []types.Parameter{}, InvalidParameters: []string{}}
	err := s.state.View(func(tx *state.Tx) error {
		for _, name := range in.Names {
			p, err := s.find(tx, name)
			var known smithy.APIError
			switch {
			case errors.As(err, &known):
				out.InvalidParameters = append(out.InvalidParameters, name)
			case err != nil:
				return err
			default:
				out.Parameters = append(out.Parameters, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetParametersByPath reads the parameters below a path: those one level
// down, or with Recursive all. NextToken is the last name of the page before.
func (s *Store) GetParametersByPath(_ context.Context, in *ssm.GetParametersByPathInput) (*ssm.GetParametersByPathOutput, error) {
	path := aws.ToString(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, validation(`The parameter path must begin with "/".`)
	}
	if path != "/" {
		path = strings.TrimSuffix(path, "/") + "/"
	}
	limit, err := pageSize(in.MaxResults, 10, 10)
	if err != nil {
		return nil, err
	}
	out := &ssm.GetParametersByPathOutput{Parameters: []types.Parameter{}}
	err = s.each(path, func(r *record) error {
		below := strings.TrimPrefix(r.Name, path)
		if strings.Contains(below, "/") && !aws.ToBool(in.Recursive) || r.Name <= aws.ToString(in.NextToken) || !matchesAll(r, in.ParameterFilters) {
			return nil
		}
		if len(out.Parameters) == limit {
			out.NextToken = out.Parameters[limit-1].Name
			return nil
		}
		out.Parameters = append(out.Parameters, s.parameter(r, r.latest(), ""))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DescribeParameters tells all about parameters but their values.
func (s *Store) DescribeParameters(_ context.Context, in *ssm.DescribeParametersInput) (*ssm.DescribeParametersOutput, error) {
	limit, err := pageSize(in.MaxResults, 50, 50)
	if err != nil {
		return nil, err
	}
	out := &ssm.DescribeParametersOutput{Parameters: []types.ParameterMetadata{}}
	err = s.each("", func(r *record) error {
		if r.Name <= aws.ToString(in.NextToken) || !matchesAll(r, in.ParameterFilters) {
			return nil
		}
		if len(out.Parameters) == limit {
			out.NextToken = out.Parameters[limit-1].Name
			return nil
		}
		v := r.latest()
		out.Parameters = append(out.Parameters, types.ParameterMetadata{
			ARN: aws.String(s.arn(r.Name)), Name: &r.Name, Type: r.Type, DataType: &r.DataType, Tier: r.Tier, KeyId: r.KeyID,
			Description: r.Description, AllowedPattern: r.AllowedPattern, Version: v.Number, LastModifiedDate: &v.Modified,
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetParameterHistory lists the versions of a parameter, oldest first.
func (s *Store) GetParameterHistory(_ context.Context, in *ssm.GetParameterHistoryInput) (*ssm.GetParameterHistoryOutput, error) {
	out := &ssm.GetParameterHistoryOutput{Parameters: []types.ParameterHistory{}}
	err := s.state.View(func(tx *state.Tx) error {
		name, _ := s.plain(aws.ToString(in.Name))
		r, err := read(tx, name)
		if err != nil {
			return err
		}
		for _, v := range r.Versions {
			out.Parameters = append(out.Parameters, types.ParameterHistory{
				Name: &r.Name, Type: r.Type, DataType: &r.DataType, Tier: r.Tier, KeyId: r.KeyID, Description: r.Description,
				Value: &v.Value, Version: v.Number, LastModifiedDate: &v.Modified,
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteParameter removes a parameter and its history.
func (s *Store) DeleteParameter(_ context.Context, in *ssm.DeleteParameterInput) (*ssm.DeleteParameterOutput, error) {
	err := s.state.Update(func(tx *state.Tx) error {
		name, _ := s.plain(aws.ToString(in.Name))
		r, err := read(tx, name)
		if err != nil {
			return err
		}
		return tx.Delete(bucket, r.Name)
	})
	return &ssm.DeleteParameterOutput{}, err
}

// DeleteParameters removes up to ten parameters and names those that are not
// there.
func (s *Store) DeleteParameters(ctx context.Context, in *ssm.DeleteParametersInput) (*ssm.DeleteParametersOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > 10 {
		return nil, validation("DeleteParameters takes 1 to 10 names.")
	}
	out := &ssm.DeleteParametersOutput{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		_, err := s.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
		var missing *types.ParameterNotFound
		switch {
		case errors.As(err, &missing):
			out.InvalidParameters = append(out.InvalidParameters, name)
		case err != nil:
			return nil, err
		default:
			out.DeletedParameters = append(out.DeletedParameters, name)
		}
	}
	return out, nil
}

func pageSize(asked *int32, usual, most int) (int, error) {
	if asked == nil {
		return usual, nil
	}
	if *asked < 1 || int(*asked) > most {
		return 0, validation(fmt.Sprintf("MaxResults must be between 1 and %d.", most))
	}
	return int(*asked), nil
}

// validation is the error for input that the service's model forbids; it is
// not among the SDK's types.
func validation(text string) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: text, Fault: smithy.FaultClient}
}
