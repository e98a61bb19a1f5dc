// Package ecr is the embedded cluster's Elastic Container Registry API:
// repositories, images and login tokens. What images consist of is kept by
// package registry, which serves them to container clients.
package ecr

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const (
	repositories = "ecr/repositories" // bucket, by name
	keys         = "ecr/keys"         // bucket
	tokenKey     = "token"

	// tokenLife is for how long a login is good (ECR API reference,
	// GetAuthorizationToken).
	tokenLife = 12 * time.Hour
)

// Images is the store behind the registry. Methods that find nothing return
// an error that is registry.ErrNotFound.
type Images interface {
	Manifests(repository string) ([]registry.ImageDetail, error)
	Manifest(repository, reference string) (registry.Manifest, error)
	PutManifest(repository, tag, mediaType string, content []byte) (digest string, err error)
	DeleteManifest(repository, reference string) error
	DeleteRepository(repository string) error
}

var _ Images = (*registry.Registry)(nil)

// Config is what a Service needs.
type Config = site.Config

// Service answers for one registry. Its operations may be called over the
// wire or in process; they behave the same.
type Service struct {
	state   *state.Store
	clock   clockwork.Clock
	account string
	prefix  string // of every ARN
	key     []byte

	mu      sync.RWMutex
	images  Images
	address string
}

// New makes a Service on the cluster's state. A registry is made with its
// ValidToken, Exists and Immutable, and then given to it by Attach.
func New(config Config) (*Service, error) {
	if err := config.Complete("ecr"); err != nil {
		return nil, err
	}
	s := &Service{
		state: config.State, clock: config.Clock, account: config.Account,
		prefix: config.ARN("ecr", "repository/"),
	}
	err := s.state.Update(func(tx *state.Tx) error {
		found, err := tx.Get(keys, tokenKey, &s.key)
		if err != nil || found {
			return err
		}
		s.key = make([]byte, sha256.Size)
		_, _ = rand.Read(s.key) // never fails
		return tx.Put(keys, tokenKey, s.key)
	})
	if err != nil {
		return nil, fmt.Errorf("make login key: %w", err)
	}
	return s, nil
}

// Attach gives the service its images and the host:port at which clients
// reach them. Until then, operations on images fail.
func (s *Service) Attach(images Images, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images, s.address = images, address
}

func (s *Service) store() (Images, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.images == nil {
		return nil, &types.ServerException{Message: aws.String("the registry is starting")}
	}
	return s.images, nil
}

// API describes the operations that are served.
func (s *Service) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{Target: "AmazonEC2ContainerRegistry_V20150921", Signing: "ecr", Names: wire.LowerCamel},
		Operations: map[string]wire.Operation{
			"BatchDeleteImage":      wire.Op(s.BatchDeleteImage),
			"BatchGetImage":         wire.Op(s.BatchGetImage),
			"CreateRepository":      wire.Op(s.CreateRepository),
			"DeleteRepository":      wire.Op(s.DeleteRepository),
			"DescribeImages":        wire.Op(s.DescribeImages),
			"DescribeRepositories":  wire.Op(s.DescribeRepositories),
			"GetAuthorizationToken": wire.Op(s.GetAuthorizationToken),
			"ListImages":            wire.Op(s.ListImages),
			"ListTagsForResource":   wire.Op(s.ListTagsForResource),
			"PutImage":              wire.Op(s.PutImage),
			"PutImageTagMutability": wire.Op(s.PutImageTagMutability),
			"TagResource":           wire.Op(s.TagResource),
			"UntagResource":         wire.Op(s.UntagResource),
		},
	}
}

// GetAuthorizationToken gives a login for twelve hours: the base64 of
// AWS:PASSWORD, where ValidToken accepts the password.
func (s *Service) GetAuthorizationToken(context.Context, *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
	if _, err := s.store(); err != nil {
		return nil, err
	}
	expires := s.clock.Now().UTC().Add(tokenLife).Truncate(time.Second)
	token := base64.StdEncoding.EncodeToString([]byte("AWS:" + s.sign(expires)))
	return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []types.AuthorizationData{{
		AuthorizationToken: &token, ExpiresAt: &expires, ProxyEndpoint: aws.String("http://" + s.uri("")),
	}}}, nil
}

// sign makes a password: its end of life and a MAC of that, so that logins
// outlive the process and none need be remembered.
func (s *Service) sign(expires time.Time) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix())) //nolint:gosec // after 1970
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write(raw)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(raw))
}

// ValidToken reports whether a password came from GetAuthorizationToken of
// this state and has not expired. It is made for registry.Basic.
func (s *Service) ValidToken(password string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(password)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(raw)), 0) //nolint:gosec // checked by the MAC
	return hmac.Equal([]byte(s.sign(expires)), []byte(password)) && s.clock.Now().Before(expires)
}

// Exists reports whether a repository has been created.
func (s *Service) Exists(name string) bool {
	_, err := s.find(&name)
	return err == nil
}

// Immutable reports whether a repository refuses to move its tags.
func (s *Service) Immutable(name string) bool {
	r, err := s.find(&name)
	return err == nil && r.Mutability == types.ImageTagMutabilityImmutable
}

// record is one repository as stored.
type record struct {
	Name       string
	Created    time.Time
	Mutability types.ImageTagMutability
	Scanning   *types.ImageScanningConfiguration
	Encryption *types.EncryptionConfiguration
	Tags       []types.Tag
}

func (s *Service) uri(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name == "" {
		return s.address
	}
	return s.address + "/" + name
}

func (s *Service) repository(r *record) *types.Repository {
	return &types.Repository{
		RepositoryName: &r.Name, RepositoryArn: aws.String(s.prefix + r.Name), RepositoryUri: aws.String(s.uri(r.Name)),
		RegistryId: &s.account, CreatedAt: &r.Created, ImageTagMutability: r.Mutability,
		ImageScanningConfiguration: r.Scanning, EncryptionConfiguration: r.Encryption,
	}
}

func (s *Service) find(name *string) (*record, error) {
	var r record
	found := false
	err := s.state.View(func(tx *state.Tx) (err error) {
		found, err = tx.Get(repositories, aws.ToString(name), &r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read repository: %w", err)
	}
	if !found {
		return nil, s.notFound(name)
	}
	return &r, nil
}

// change runs fn on a repository and stores it.
func (s *Service) change(name *string, fn func(*record)) (*record, error) {
	var r record
	err := s.state.Update(func(tx *state.Tx) error {
		found, err := tx.Get(repositories, aws.ToString(name), &r)
		if err != nil {
			return fmt.Errorf("read repository: %w", err)
		}
		if !found {
			return s.notFound(name)
		}
		fn(&r)
		return tx.Put(repositories, r.Name, r)
	})
	return &r, err
}

func (s *Service) all() ([]record, error) {
	var out []record
	err := s.state.View(func(tx *state.Tx) error {
		return tx.List(repositories, "", func(_ string, raw []byte) error {
			var r record
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("decode repository: %w", err)
			}
			out = append(out, r)
			return nil
		})
	})
	return out, err
}

func (s *Service) notFound(name *string) error {
	return &types.RepositoryNotFoundException{Message: aws.String(fmt.Sprintf(
		"The repository with name '%s' does not exist in the registry with id '%s'", aws.ToString(name), s.account))}
}

func invalid(text string) error {
	return &types.InvalidParameterException{Message: &text}
}
