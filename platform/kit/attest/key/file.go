package key

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sigstore/sigstore/pkg/signature"
)

const (
	keyMode    fs.FileMode = 0o600
	folderMode fs.FileMode = 0o700
	pemType                = "PRIVATE KEY" // PKCS #8, RFC 5958
)

// PublicSuffix is what the public key's file is called beside the key's.
const PublicSuffix = ".pub"

// Make returns the key in a file, an ECDSA P-256 key that is made when there
// is no such file. Of two commands that make it at once one wins, and both use
// its key. The public key is kept beside it, for people and other clients.
func Make(ctx context.Context, path string) (*Key, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, &Error{What: "make signing key", Err: err, Do: "ls -ld " + filepath.Dir(path)}
		}
	}
	k, err := Read(ctx, path)
	if err != nil {
		return nil, err
	}
	return k, k.publish(path + PublicSuffix)
}

// Read returns the key in a PEM file (PKCS #8, not encrypted), which nobody
// but its owner may be able to read.
func Read(ctx context.Context, path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &Error{What: "read signing key", Err: err, Do: "ls -l " + path}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &Error{What: "read signing key", Err: fmt.Errorf("%s can be read by others (mode %04o)", path, mode), Do: "chmod 600 " + path}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{What: "read signing key", Err: err, Do: "ls -l " + path}
	}
	damaged := func(err error) error {
		return &Error{What: "read signing key " + path, Err: err, Do: "mv " + path + " " + path + ".damaged   # a new one is made; sign releases again with: go tool mage sign"}
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, damaged(errors.New("it is no PEM file with a " + pemType))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, damaged(err)
	}
	pair, err := signature.LoadSignerVerifier(parsed, crypto.SHA256)
	if err != nil {
		return nil, damaged(err)
	}
	return New(ctx, pair, path)
}

// create makes a key. The file gets its name when it is whole, and never takes
// the place of another.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	whole, err := write(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), keyMode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(whole) }()
	if err := os.Link(whole, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// write writes and syncs a temporary file beside path.
func write(path string, content []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// publish makes sure that the public key's file is there and right.
func (k *Key) publish(path string) error {
	text, err := k.PublicPEM()
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return nil
	}
	whole, err := write(path, text, 0o644)
	if err == nil {
		err = os.Rename(whole, path)
	}
	if err != nil {
		return &Error{What: "write public key", Err: err, Do: "ls -ld " + filepath.Dir(path)}
	}
	return nil
}
