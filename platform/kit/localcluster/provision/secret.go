package provision

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
)

// databaseCredentials has the form that Amazon RDS gives its secrets.
type databaseCredentials struct {
	Engine   string `json:"engine"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	DBName   string `json:"dbname"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// keepSecrets makes the service's secrets and its database, and returns the
// ARN of each secret by its name. Values that exist stay.
func (p *Provisioner) keepSecrets(ctx context.Context, s shell) (map[string]string, error) {
	arns := map[string]string{}
	for _, listed := range s.service.Secrets {
		arn, _, err := p.keepSecret(ctx, s.secretName(listed), func() (string, error) { return rand.Text(), nil })
		if err != nil {
			return nil, err
		}
		arns[s.secretName(listed)] = arn
	}
	if len(s.service.Calls) > 0 {
		arn, _, err := p.keepSecret(ctx, s.clientSecret(), func() (string, error) { return rand.Text(), nil })
		if err != nil {
			return nil, err
		}
		arns[s.clientSecret()] = arn
	}
	if s.service.Database == nil {
		return arns, nil
	}
	arn, value, err := p.keepSecret(ctx, s.databaseSecret(), func() (string, error) {
		return p.newCredentials(s.service.Name)
	})
	if err != nil {
		return nil, err
	}
	arns[s.databaseSecret()] = arn
	return arns, p.keepDatabase(ctx, s, value)
}

// keepDatabase makes the database that the secret tells of. A secret whose
// address is out of date, since the server's port was changed, is put right.
func (p *Provisioner) keepDatabase(ctx context.Context, s shell, value string) error {
	var have databaseCredentials
	if err := json.Unmarshal([]byte(value), &have); err != nil {
		return fmt.Errorf("read secret %s: %w", s.databaseSecret(), err)
	}
	fresh := have
	if err := p.address(&fresh); err != nil {
		return err
	}
	if fresh != have {
		raw, err := json.Marshal(fresh)
		if err != nil {
			return fmt.Errorf("encode secret %s: %w", s.databaseSecret(), err)
		}
		_, err = p.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: aws.String(s.databaseSecret()), SecretString: aws.String(string(raw)),
		})
		if err != nil {
			return fmt.Errorf("write secret %s: %w", s.databaseSecret(), err)
		}
	}
	if err := p.admin.PutDatabase(ctx, admin.Database{Name: have.DBName, Password: have.Password}); err != nil {
		return fmt.Errorf("make database %s: %w", have.DBName, err)
	}
	return nil
}

func (p *Provisioner) newCredentials(service string) (string, error) {
	c := databaseCredentials{Engine: "postgres", DBName: service, Username: service, Password: rand.Text()}
	if err := p.address(&c); err != nil {
		return "", err
	}
	raw, err := json.Marshal(c)
	return string(raw), err
}

// address fills in where the server listens.
func (p *Provisioner) address(c *databaseCredentials) error {
	host, port, err := net.SplitHostPort(p.postgres)
	if err == nil {
		c.Host = host
		c.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		return fmt.Errorf("read the database server's address %q: %w", p.postgres, err)
	}
	return nil
}

// keepSecret returns the ARN and the value of a secret, which it makes when it
// does not exist.
func (p *Provisioner) keepSecret(ctx context.Context, name string, value func() (string, error)) (arn, text string, err error) {
	got, err := p.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	if err == nil {
		return aws.ToString(got.ARN), aws.ToString(got.SecretString), nil
	}
	if missing := new(smtypes.ResourceNotFoundException); !errors.As(err, &missing) {
		return "", "", fmt.Errorf("read secret %s: %w", name, err)
	}
	text, err = value()
	if err != nil {
		return "", "", fmt.Errorf("make secret %s: %w", name, err)
	}
	made, err := p.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String(name), SecretString: aws.String(text),
	})
	if err != nil {
		return "", "", fmt.Errorf("create secret %s: %w", name, err)
	}
	return aws.ToString(made.ARN), text, nil
}
