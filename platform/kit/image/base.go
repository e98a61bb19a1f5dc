package image

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"path"
	"sort"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where the base layer keeps what programs look for. Both are among the places
// crypto/x509 and time search on Linux.
const (
	CertificatesPath = "etc/ssl/certs/ca-certificates.crt"
	ZoneInfoPath     = "usr/share/zoneinfo"
)

const (
	users  = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	groups = "root:x:0:\nnonroot:x:65532:\n"
)

// baseLayer holds what a static binary needs of a file system.
func (c cache) baseLayer(zones []zone, compression Compression) (*layer, error) {
	certificates := Certificates()
	h := sha256.New()
	_, _ = h.Write(certificates)
	for _, z := range zones {
		fmt.Fprintf(h, "%s %d\n", z.name, len(z.content))
		_, _ = h.Write(z.content)
	}
	key := layerKey(compression, users, groups, hex.EncodeToString(h.Sum(nil)))
	return layerFor(c.base, key, compression, func(w io.Writer) (int64, error) {
		return 0, archiveBase(w, certificates, zones)
	})
}

// Certificates is Mozilla's trust store as golang.org/x/crypto publishes it,
// pinned by go.sum, so that the host's own store has no say in the digest.
// Roots that may only be used under conditions no PEM file can express (issued
// before a date) are left out.
func Certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		// Writing to a bytes.Buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return out.Bytes()
}

func archiveBase(w io.Writer, certificates []byte, zones []zone) error {
	a := newArchive(w)
	a.dir("etc/", 0o755)
	a.file("etc/group", []byte(groups))
	a.file("etc/passwd", []byte(users))
	a.dir("etc/ssl/", 0o755)
	a.dir("etc/ssl/certs/", 0o755)
	a.file(CertificatesPath, certificates)
	a.dir("tmp/", 0o1777)
	a.dir("usr/", 0o755)
	a.dir("usr/share/", 0o755)
	archiveZones(a, zones)
	return a.close()
}

// archiveZones writes the database in the order of names. Nearly half of the
// names are aliases; their content is stored once.
func archiveZones(a *archive, zones []zone) {
	a.dir(ZoneInfoPath+"/", 0o755)
	sorted := append([]zone(nil), zones...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].name < sorted[j].name })
	folders := map[string]bool{".": true}
	first := map[string]string{}
	for _, z := range sorted {
		for _, folder := range parents(z.name) {
			if !folders[folder] {
				folders[folder] = true
				a.dir(ZoneInfoPath+"/"+folder+"/", 0o755)
			}
		}
		target := ZoneInfoPath + "/" + z.name
		if original, ok := first[string(z.content)]; ok {
			a.hardLink(target, original)
			continue
		}
		first[string(z.content)] = target
		a.file(target, z.content)
	}
}

// parents lists the folders above a name, outermost first.
func parents(name string) []string {
	var out []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		out = append([]string{dir}, out...)
	}
	return out
}

func readZipped(file *zip.File) ([]byte, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
