package vuln

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

// Inventory is what a Go binary tells of its contents.
type Inventory struct {
	Info *debug.BuildInfo
	// Functions are the functions and methods in the binary, also those that
	// were inlined everywhere, sorted.
	Functions []Function
}

// Function names a function, or a method as TYPE.METHOD, and its package.
type Function struct {
	Package string `json:"pkg,omitempty"`
	Name    string `json:"name,omitempty"`
}

// ReadBinary takes stock of a Go binary for Linux or macOS. It needs no symbol
// table: it reads the names that the runtime keeps for stack traces, which a
// stripped binary has too.
func ReadBinary(r io.ReaderAt) (*Inventory, error) {
	inv, err := readModules(r)
	if err != nil {
		return nil, err
	}
	if err := inv.readFunctions(r, func(string) bool { return true }); err != nil {
		return nil, err
	}
	slices.SortFunc(inv.Functions, func(a, b Function) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
	})
	inv.Functions = slices.Compact(inv.Functions)
	return inv, nil
}

// readModules reads what is quick to read: all but the functions.
func readModules(r io.ReaderAt) (*Inventory, error) {
	info, err := buildinfo.Read(r)
	if err != nil {
		return nil, fmt.Errorf("read build information: %w", err)
	}
	return &Inventory{Info: info}, nil
}

// readFunctions reads the functions of the packages that are wanted.
func (i *Inventory) readFunctions(r io.ReaderAt, wanted func(pkg string) bool) error {
	table, order, err := lineTable(r)
	if err != nil {
		return err
	}
	names, err := functionNames(table, order)
	if err != nil {
		return fmt.Errorf("read function names: %w", err)
	}
	for name := range bytes.SplitSeq(names, []byte{0}) {
		f, ok, err := parseName(string(name))
		if err != nil {
			return fmt.Errorf("read function name %q: %w", name, err)
		}
		if ok && wanted(f.Package) {
			i.Functions = append(i.Functions, f)
		}
	}
	return nil
}

// setting returns how the binary was built in one respect ("GOOS").
func (i *Inventory) setting(key string) string {
	for _, s := range i.Info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

var errNoTable = errors.New("read line table: the binary has none")

// lineTable finds the runtime's table of functions.
func lineTable(r io.ReaderAt) (io.ReaderAt, binary.ByteOrder, error) {
	if file, err := elf.NewFile(r); err == nil {
		for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
			if section := file.Section(name); section != nil {
				return section, file.ByteOrder, nil
			}
		}
		return nil, nil, errNoTable
	}
	file, err := macho.NewFile(r)
	if err != nil {
		return nil, nil, fmt.Errorf("read line table: %w", err)
	}
	if section := file.Section("__gopclntab"); section != nil {
		return section, file.ByteOrder, nil
	}
	return nil, nil, errNoTable
}

// The beginning of the table, which package runtime calls pcHeader: magic, two
// zeros, the least instruction size, the pointer size, and then fields of the
// pointer size, among them where the names begin and where they end.
// Source: type pcHeader in runtime/symtab.go; debug/gosym reads the same.
const (
	magicGo118   = 0xfffffff0
	magicGo120   = 0xfffffff1
	pointerSize  = 7 // where it is
	fixedHeader  = 8 // bytes before the fields
	namesBegin   = 3 // field
	namesEnd     = 4 // field
	headerFields = 5 // that are read
)

// maxNames is more than the names of any program, in bytes.
const maxNames = 256 << 20

// functionNames returns the names in the table, each with a zero behind it. The
// linker writes into it the name of each function and of each function that was
// inlined into one.
func functionNames(table io.ReaderAt, order binary.ByteOrder) ([]byte, error) {
	header := make([]byte, fixedHeader+headerFields*8)
	if _, err := table.ReadAt(header, 0); err != nil {
		return nil, err
	}
	if magic := order.Uint32(header); magic != magicGo118 && magic != magicGo120 {
		return nil, fmt.Errorf("unknown format %#x: the binary is of a Go older than 1.18 or newer than this kit knows", magic)
	}
	if header[pointerSize] != 8 {
		return nil, fmt.Errorf("unknown format: %d bytes a pointer", header[pointerSize])
	}
	from := order.Uint64(header[fixedHeader+namesBegin*8:])
	to := order.Uint64(header[fixedHeader+namesEnd*8:])
	if from > to || to-from > maxNames || from > math.MaxInt64 {
		return nil, fmt.Errorf("names are from %d to %d", from, to)
	}
	names := make([]byte, to-from)
	if _, err := table.ReadAt(names, int64(from)); err != nil {
		return nil, err
	}
	return names, nil
}

// parseName splits the linker's name of a function: a.b/c.(*T).M is T.M of
// package a.b/c. What the compiler made belongs to no package; ok is false.
func parseName(linked string) (f Function, ok bool, err error) {
	if strings.HasPrefix(linked, "go:") || strings.HasPrefix(linked, "type:") {
		return f, false, nil
	}
	name := linked
	if from, to := strings.Index(name, "["), strings.LastIndex(name, "]"); from >= 0 && from < to {
		name = name[:from] + name[to+1:] // type arguments
	}
	path := strings.LastIndex(name, "/") + 1
	pkg, rest, ok := strings.Cut(name[path:], ".")
	if !ok {
		return f, false, nil
	}
	f.Name = rest
	if dot := strings.LastIndex(rest, "."); dot >= 0 {
		f.Name = strings.Trim(rest[:dot], "(*)") + rest[dot:]
	}
	f.Package, err = url.PathUnescape(name[:path] + pkg)
	return f, err == nil, err
}
