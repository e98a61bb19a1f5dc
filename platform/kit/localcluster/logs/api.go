package logs

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// API describes the operations that are served.
func (s *Store) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{Target: "Logs_20140328", Signing: "logs", Names: wire.LowerCamel},
		Operations: map[string]wire.Operation{
			"CreateLogGroup":        wire.Op(s.CreateLogGroup),
			"CreateLogStream":       wire.Op(s.CreateLogStream),
			"DeleteLogGroup":        wire.Op(s.DeleteLogGroup),
			"DeleteLogStream":       wire.Op(s.DeleteLogStream),
			"DeleteRetentionPolicy": wire.Op(s.DeleteRetentionPolicy),
			"DescribeLogGroups":     wire.Op(s.DescribeLogGroups),
			"DescribeLogStreams":    wire.Op(s.DescribeLogStreams),
			"FilterLogEvents":       wire.Op(s.FilterLogEvents),
			"GetLogEvents":          wire.Op(s.GetLogEvents),
			"ListTagsForResource":   wire.Op(s.ListTagsForResource),
			"PutLogEvents":          wire.Op(s.PutLogEvents),
			"PutRetentionPolicy":    wire.Op(s.PutRetentionPolicy),
			"TagResource":           wire.Op(s.TagResource),
			"UntagResource":         wire.Op(s.UntagResource),
		},
	}
}

// groupName reads either way of naming a group: by name, or by name or ARN.
func (s *Store) groupName(name, identifier *string) (string, error) {
	id := aws.ToString(identifier)
	switch {
	case name != nil && identifier != nil:
		return "", invalidParameter("LogGroupName and LogGroupIdentifier are mutually exclusive.")
	case id == "":
		id = aws.ToString(name)
	}
	id = strings.TrimSuffix(strings.TrimPrefix(id, s.prefix), ":*")
	if id == "" {
		return "", invalidParameter("A log group name or identifier is required.")
	}
	return id, nil
}

// group finds a group; s.mu must be held.
func (s *Store) group(name string) (*group, error) {
	g, ok := s.groups[name]
	if !ok {
		return nil, notFound("The specified log group does not exist.")
	}
	return g, nil
}

func (g *group) stream(name *string) (*stream, error) {
	st, ok := g.streams[aws.ToString(name)]
	if !ok {
		return nil, notFound("The specified log stream does not exist.")
	}
	return st, nil
}

func checkGroupName(name string) error {
	if len(name) > 512 || !regexp.MustCompile(`^[.\-_/#A-Za-z0-9]+$`).MatchString(name) {
		return invalidParameter("A log group name has 1 to 512 characters of a-z, A-Z, 0-9, and _-/.#")
	}
	return nil
}

func checkStreamName(name string) error {
	if name == "" || len(name) > 512 || strings.ContainsAny(name, ":*") {
		return invalidParameter("A log stream name has 1 to 512 characters, none of them : or *")
	}
	return nil
}

func pageSize(asked *int32, usual, most int) (int, error) {
	if asked == nil {
		return usual, nil
	}
	if *asked < 1 || int(*asked) > most {
		return 0, invalidParameter(fmt.Sprintf("The limit must be between 1 and %d.", most))
	}
	return int(*asked), nil
}

func invalidParameter(text string) error {
	return &types.InvalidParameterException{Message: &text}
}

func invalidPattern(err error) error {
	return invalidParameter("Invalid filter pattern: " + err.Error())
}

func notFound(text string) error {
	return &types.ResourceNotFoundException{Message: &text}
}

func exists(text string) error {
	return &types.ResourceAlreadyExistsException{Message: &text}
}
