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
	return inv, inv.readFunctions(r)
}

// readModules reads what is quick to read: all but the functions.
func readModules(r io.ReaderAt) (*Inventory, error) {
	info, err := buildinfo.Read(r)
	if err != nil {
		return nil, fmt.Errorf("read build information: %w", err)
	}
	return &Inventory{Info: info}, nil
}

func (i *Inventory) readFunctions(r io.ReaderAt) error {
	table, order, err := lineTable(r)
	if err != nil {
		return err
	}
	names, err := functionNames(table, order)
	if err != nil {
		return fmt.Errorf("read function names: %w", err)
	}
	i.Functions = make([]Function, 0, len(names))
	for _, name := range names {
		f, ok, err := parseName(name)
		if err != nil {
			return fmt.Errorf("read function name %q: %w", name, err)
		}
		if ok {
			i.Functions = append(i.Functions, f)
		}
	}
	slices.SortFunc(i.Functions, func(a, b Function) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
	})
	i.Functions = slices.Compact(i.Functions)
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
func lineTable(r io.ReaderAt) ([]byte, binary.ByteOrder, error) {
	if file, err := elf.NewFile(r); err == nil {
		for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
			if section := file.Section(name); section != nil {
				data, err := section.Data()
				return data, file.ByteOrder, err
			}
		}
		return nil, nil, errNoTable
	}
	file, err := macho.NewFile(r)
	if err != nil {
		return nil, nil, fmt.Errorf("read line table: %w", err)
	}
	if section := file.Section("__gopclntab"); section != nil {
		data, err := section.Data()
		return data, file.ByteOrder, err
	}
	return nil, nil, errNoTable
}

// The beginning of the table, which package runtime calls pcHeader: magic, two
// zeros, the least instruction size, the pointer size, and then offsets of the
// pointer size, among them where the names begin and where they end.
// Source: type pcHeader in runtime/symtab.go; debug/gosym reads the same.
const (
	magicGo118   = 0xfffffff0
	magicGo120   = 0xfffffff1
	pointerSize  = 7
	fixedHeader  = 8
	namesBegin   = 3
	namesEnd     = 4
	headerFields = 8
)

// functionNames returns the names in the table. The linker writes into it the
// name of each function and of each function that was inlined into one.
func functionNames(table []byte, order binary.ByteOrder) ([]string, error) {
	if len(table) < fixedHeader {
		return nil, io.ErrUnexpectedEOF
	}
	if magic := order.Uint32(table); magic != magicGo118 && magic != magicGo120 {
		return nil, fmt.Errorf("unknown format %#x: the binary is of a Go older than 1.18 or newer than this kit knows", magic)
	}
	size := int(table[pointerSize])
	if size != 4 && size != 8 || len(table) < fixedHeader+headerFields*size {
		return nil, io.ErrUnexpectedEOF
	}
	offset := func(i int) uint64 {
		field := table[fixedHeader+i*size:]
		if size == 4 {
			return uint64(order.Uint32(field))
		}
		return order.Uint64(field)
	}
	from, to := offset(namesBegin), offset(namesEnd)
	if from > to || to > uint64(len(table)) {
		return nil, io.ErrUnexpectedEOF
	}
	var names []string
	for name := range bytes.SplitSeq(table[from:to], []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
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
