package logs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// CreateLogGroup makes a group that keeps its events for ever, up to the
// store's limits.
func (s *Store) CreateLogGroup(_ context.Context, in *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if err := checkGroupName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[name] != nil {
		return nil, exists("The specified log group already exists")
	}
	_, err := s.addGroup(groupInfo{Name: name, Tags: maps.Clone(in.Tags)})
	return &cloudwatchlogs.CreateLogGroupOutput{}, err
}

// DeleteLogGroup removes a group and all its events.
func (s *Store) DeleteLogGroup(_ context.Context, in *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	delete(s.groups, g.info.Name)
	for _, st := range g.streams {
		err = errors.Join(err, st.remove())
	}
	if err = errors.Join(err, os.RemoveAll(g.dir)); err != nil {
		return nil, fmt.Errorf("remove log group: %w", err)
	}
	return &cloudwatchlogs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups lists groups by name. NextToken is the last name of the
// page before.
func (s *Store) DescribeLogGroups(_ context.Context, in *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	limit, err := pageSize(in.Limit, 50, 50)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: []types.LogGroup{}}
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		if name <= aws.ToString(in.NextToken) || !strings.HasPrefix(name, aws.ToString(in.LogGroupNamePrefix)) ||
			!strings.Contains(strings.ToLower(name), strings.ToLower(aws.ToString(in.LogGroupNamePattern))) {
			continue
		}
		if len(in.LogGroupIdentifiers) > 0 && !slices.Contains(in.LogGroupIdentifiers, name) &&
			!slices.Contains(in.LogGroupIdentifiers, s.prefix+name) {
			continue
		}
		if len(out.LogGroups) == limit {
			out.NextToken = out.LogGroups[limit-1].LogGroupName
			break
		}
		out.LogGroups = append(out.LogGroups, s.describe(s.groups[name]))
	}
	return out, nil
}

func (s *Store) describe(g *group) types.LogGroup {
	var size int64
	for _, st := range g.streams {
		size += st.bytes()
	}
	out := types.LogGroup{
		Arn: aws.String(s.prefix + g.info.Name + ":*"), LogGroupArn: aws.String(s.prefix + g.info.Name),
		LogGroupName: aws.String(g.info.Name), CreationTime: aws.Int64(g.info.Created), StoredBytes: &size,
		MetricFilterCount: aws.Int32(0), LogGroupClass: types.LogGroupClassStandard,
	}
	if g.info.Retention != 0 {
		out.RetentionInDays = aws.Int32(g.info.Retention)
	}
	return out
}

// PutRetentionPolicy sets for how many days a group keeps events.
func (s *Store) PutRetentionPolicy(_ context.Context, in *cloudwatchlogs.PutRetentionPolicyInput) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	days := []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
	if !slices.Contains(days, aws.ToInt32(in.RetentionInDays)) {
		return nil, invalidParameter(fmt.Sprintf("retentionInDays must be one of %d", days))
	}
	err := s.alter(in.LogGroupName, func(info *groupInfo) { info.Retention = *in.RetentionInDays })
	if err != nil {
		return nil, err
	}
	s.sweep(aws.ToString(in.LogGroupName))
	return &cloudwatchlogs.PutRetentionPolicyOutput{}, nil
}

// DeleteRetentionPolicy lets a group keep events for ever again.
func (s *Store) DeleteRetentionPolicy(_ context.Context, in *cloudwatchlogs.DeleteRetentionPolicyInput) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error) {
	err := s.alter(in.LogGroupName, func(info *groupInfo) { info.Retention = 0 })
	return &cloudwatchlogs.DeleteRetentionPolicyOutput{}, err
}

// alter changes and stores what is known of a group.
func (s *Store) alter(name *string, fn func(*groupInfo)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(aws.ToString(name))
	if err != nil {
		return err
	}
	before := g.info
	before.Tags = maps.Clone(g.info.Tags)
	fn(&g.info)
	if err := g.save(); err != nil {
		g.info = before
		return err
	}
	return nil
}

// TagResource adds tags to a group, named by its ARN.
func (s *Store) TagResource(_ context.Context, in *cloudwatchlogs.TagResourceInput) (*cloudwatchlogs.TagResourceOutput, error) {
	name, err := s.groupName(nil, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	err = s.alter(&name, func(info *groupInfo) {
		if info.Tags == nil {
			info.Tags = map[string]string{}
		}
		maps.Copy(info.Tags, in.Tags)
	})
	return &cloudwatchlogs.TagResourceOutput{}, err
}

// UntagResource removes tags of a group by key.
func (s *Store) UntagResource(_ context.Context, in *cloudwatchlogs.UntagResourceInput) (*cloudwatchlogs.UntagResourceOutput, error) {
	name, err := s.groupName(nil, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	err = s.alter(&name, func(info *groupInfo) {
		for _, key := range in.TagKeys {
			delete(info.Tags, key)
		}
	})
	return &cloudwatchlogs.UntagResourceOutput{}, err
}

// ListTagsForResource lists the tags of a group.
func (s *Store) ListTagsForResource(_ context.Context, in *cloudwatchlogs.ListTagsForResourceInput) (*cloudwatchlogs.ListTagsForResourceOutput, error) {
	name, err := s.groupName(nil, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.group(name)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	maps.Copy(tags, g.info.Tags)
	return &cloudwatchlogs.ListTagsForResourceOutput{Tags: tags}, nil
}

// CreateLogStream makes an empty stream.
func (s *Store) CreateLogStream(_ context.Context, in *cloudwatchlogs.CreateLogStreamInput) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	name := aws.ToString(in.LogStreamName)
	if err := checkStreamName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	if g.streams[name] != nil {
		return nil, exists("The specified log stream already exists")
	}
	_, err = s.addStream(g, name)
	return &cloudwatchlogs.CreateLogStreamOutput{}, err
}

// DeleteLogStream removes a stream and its events.
func (s *Store) DeleteLogStream(_ context.Context, in *cloudwatchlogs.DeleteLogStreamInput) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	st, err := g.stream(in.LogStreamName)
	if err != nil {
		return nil, err
	}
	delete(g.streams, st.info.Name)
	return &cloudwatchlogs.DeleteLogStreamOutput{}, st.remove()
}

// DescribeLogStreams lists streams by name or by the time of their last event.
// NextToken is the last name of the page before.
func (s *Store) DescribeLogStreams(_ context.Context, in *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	limit, err := pageSize(in.Limit, 50, 50)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == types.OrderByLastEventTime
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	streams, err := s.pick(name, nil, aws.ToString(in.LogStreamNamePrefix))
	if err != nil {
		return nil, err
	}
	described := make([]types.LogStream, 0, len(streams))
	for _, st := range streams {
		d, err := s.describeStream(name, st)
		if err != nil {
			return nil, err
		}
		described = append(described, d)
	}
	if byTime {
		slices.SortStableFunc(described, func(a, b types.LogStream) int {
			return int(max(-1, min(1, aws.ToInt64(a.LastEventTimestamp)-aws.ToInt64(b.LastEventTimestamp))))
		})
	}
	if aws.ToBool(in.Descending) {
		slices.Reverse(described)
	}
	if in.NextToken != nil {
		at := slices.IndexFunc(described, func(d types.LogStream) bool { return *d.LogStreamName == *in.NextToken })
		if at < 0 {
			return nil, invalidParameter("The specified nextToken is invalid.")
		}
		described = described[at+1:]
	}
	out := &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: described}
	if len(described) > limit {
		out.LogStreams = described[:limit]
		out.NextToken = described[limit-1].LogStreamName
	}
	return out, nil
}

func (s *Store) describeStream(group string, st *stream) (types.LogStream, error) {
	segments, err := st.snapshot()
	if err != nil {
		return types.LogStream{}, err
	}
	out := types.LogStream{
		Arn: aws.String(s.prefix + group + ":log-stream:" + st.info.Name), LogStreamName: aws.String(st.info.Name),
		CreationTime: aws.Int64(st.info.Created), StoredBytes: aws.Int64(0), //nolint:staticcheck // AWS answers it as 0
	}
	for _, seg := range segments {
		if seg.events == 0 {
			continue
		}
		if out.FirstEventTimestamp == nil || seg.first < *out.FirstEventTimestamp {
			out.FirstEventTimestamp = aws.Int64(seg.first)
		}
		out.LastEventTimestamp = aws.Int64(max(seg.last, aws.ToInt64(out.LastEventTimestamp)))
		out.LastIngestionTime = aws.Int64(max(seg.arrived, aws.ToInt64(out.LastIngestionTime)))
	}
	return out, nil
}
