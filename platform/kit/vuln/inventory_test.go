package vuln_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/vuln/scan"

	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// extracted is what govulncheck reads out of a binary with a symbol table.
func extracted(t *testing.T, path string) []vuln.Function {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := scan.Command(t.Context(), "-mode=extract", path)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	decoder := json.NewDecoder(&out)
	var header map[string]string
	var body struct{ PkgSymbols []vuln.Function }
	for _, part := range []any{&header, &body} {
		if err := decoder.Decode(part); err != nil {
			t.Fatal(err)
		}
	}
	if header["name"] != "govulncheck-extract" || header["version"] != "0.1.0" {
		t.Fatalf("govulncheck changed its format to %v; see writeBlob", header)
	}
	return body.PkgSymbols
}

// TestStrippedBinaryTellsWhatItsSymbolTableWould: the kit's images have
// stripped binaries, of which govulncheck by itself sees modules alone.
func TestStrippedBinaryTellsWhatItsSymbolTableWould(t *testing.T) {
	t.Parallel()
	if names := extracted(t, called.build(t)); len(names) != 0 {
		t.Errorf("govulncheck reads %d functions of a stripped binary; it could be left to it", len(names))
	}
	got := map[vuln.Function]bool{}
	for _, f := range inventory(t, called.build(t)).Functions {
		got[f] = true
	}
	want := map[vuln.Function]bool{}
	for _, f := range extracted(t, whole.build(t)) {
		if from, to := strings.Index(f.Name, "["), strings.LastIndex(f.Name, "]"); from >= 0 && from < to {
			f.Name = f.Name[:from] + f.Name[to+1:] // type arguments
		}
		if f.Package != "" { // what the compiler made
			want[f] = true
		}
	}
	for f := range want {
		if !got[f] {
			t.Errorf("%v is missing", f)
		}
	}
	for f := range got {
		// govulncheck takes packages such as go.uber.org/zap for what the compiler made.
		if !want[f] && !strings.HasPrefix(f.Package, "go.") && !strings.HasPrefix(f.Package, "type.") {
			t.Errorf("%v is not in the binary", f)
		}
	}
	if len(want) < 1000 {
		t.Errorf("%d functions were compared; want a program's worth", len(want))
	}
}

func TestInventoryOfFilesThatAreNoBinaries(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(called.build(t))
	if err != nil {
		t.Fatal(err)
	}
	// The line table's magic number, as Go 1.20 and later write it.
	table := bytes.Index(good, []byte{0xf1, 0xff, 0xff, 0xff, 0, 0})
	if table < 0 {
		t.Fatal("the binary has no line table")
	}
	changed := func(at int, with ...byte) []byte {
		return slices.Replace(slices.Clone(good), at, at+len(with), with...)
	}
	for name, tc := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":           {nil, "read build information"},
		"text":            {[]byte("#!/bin/sh\n"), "read build information"},
		"cut off":         {good[:len(good)/3], ""},
		"unknown format":  {changed(table, 0xf9), "unknown format 0xfffffff9"},
		"odd pointers":    {changed(table+7, 4), "unknown format: 4 bytes a pointer"},
		"names elsewhere": {changed(table+8+3*8, 0xff, 0xff, 0xff, 0xff), "names are from 4294967295 to"},
		"names cut off":   {changed(table+8+4*8, 0xff, 0xff, 0xff, 0x0f), "EOF"},
	} {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, string(tc.content))
		_, err := vuln.ReadBinary(opened(t, path))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v; want one with %q", name, err, tc.want)
		}
	}
}
