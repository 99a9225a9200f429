// This file owns the format of ld.so.cache: "glibc-ld.so.cache1.1", which glibc has written since 2.2, by itself since 2.32 and
// behind an older one before. The older one is read where it is alone, but never written: all loaders of these years read the newer
// one by itself.

package ldcache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// Cache is what a loader's cache says.
type Cache struct {
	Libraries []Library // as the loader wants them: see compare
	Hwcaps    []string  // names of kinds of processor, by the numbers in Library.Hwcap
}

// Library is one library as a loader finds it.
type Library struct {
	Flags int32  // for which C library and processor it is
	Name  string // what programs ask for: libcuda.so.1
	Path  string
	// Hwcap says which processors it is for; 0 is all.
	Hwcap uint64
}

// Flags of libraries for glibc, by their processors.
const (
	FlagsX86   int32 = 0x0003
	FlagsX8664 int32 = 0x0303
	FlagsARM64 int32 = 0x0a03
)

// NativeFlags are those of this processor.
var NativeFlags = map[string]int32{"amd64": FlagsX8664, "arm64": FlagsARM64}[runtime.GOARCH]

// MaxSize is a hundred times what a CUDA image has.
const MaxSize = 64 << 20

const (
	magic    = "glibc-ld.so.cache1.1"
	oldMagic = "ld.so-1.7.0\x00"

	oldHeaderSize, oldEntrySize = 16, 12
	headerSize, entrySize       = 48, 24

	littleEndian = 2

	extensionMagic  uint32 = 0xeaa42174
	extensionHwcaps uint32 = 1
	sectionSize            = 16
)

// header is the start of the file.
type header struct {
	Magic                [len(magic)]byte
	Count, StringsLength uint32
	Endian               byte
	_                    [3]byte
	Extension            uint32
	_                    [3]uint32
}

// entry is a Library in the file; Name and Path are offsets of strings.
type entry struct {
	Flags      int32
	Name, Path uint32
	_          uint32
	Hwcap      uint64
}

// oldEntry is one in the older format, which has libraries for all processors only. Its strings are counted from the end of the entries.
type oldEntry struct {
	Flags      int32
	Name, Path uint32
}

// section is a part of what glibc 2.33 has put behind the strings.
type section struct{ Tag, Flags, Offset, Size uint32 }

var errMalformed = errors.New("the loader's cache is malformed")

// Parse reads a cache.
func Parse(text []byte) (*Cache, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the loader's cache is larger than %d MiB", MaxSize>>20)
	}
	if bytes.HasPrefix(text, []byte(oldMagic)) {
		return parseOld(text)
	}
	return parseNew(text, text)
}

// parseNew reads what is in the newer format; it is the end of the whole file, or all of it.
func parseNew(whole, text []byte) (*Cache, error) {
	var h header
	if !decode(text, 0, &h) || string(h.Magic[:]) != magic || h.Endian > littleEndian || uint64(h.Count)*entrySize > uint64(len(text)) {
		return nil, errMalformed
	}
	entries := make([]entry, h.Count)
	if !decode(text, headerSize, entries) {
		return nil, errMalformed
	}
	c := &Cache{}
	for _, e := range entries {
		if err := c.read(text, e); err != nil {
			return nil, err
		}
	}
	var err error
	c.Hwcaps, err = hwcaps(whole, text, h.Extension)
	return c, err
}

// parseOld reads a file that begins in the format of before glibc 2.2. The newer format may come behind its entries, at the next multiple
// of 8, and then says all that the older one does.
func parseOld(text []byte) (*Cache, error) {
	var count uint32
	if !decode(text, len(oldMagic), &count) {
		return nil, errMalformed
	}
	end := oldHeaderSize + uint64(count)*oldEntrySize
	if end > uint64(len(text)) {
		return nil, errMalformed
	}
	if newer := (end + 7) &^ 7; newer <= uint64(len(text)) && bytes.HasPrefix(text[newer:], []byte(magic)) {
		return parseNew(text, text[newer:])
	}
	entries := make([]oldEntry, count)
	if !decode(text, oldHeaderSize, entries) {
		return nil, errMalformed
	}
	c := &Cache{}
	for _, e := range entries {
		if err := c.read(text[end:], entry{Flags: e.Flags, Name: e.Name, Path: e.Path}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// read takes in an entry whose strings are in a text.
func (c *Cache) read(text []byte, e entry) error {
	name, path := str(text, e.Name), str(text, e.Path)
	if name == "" || path == "" {
		return errMalformed
	}
	c.Libraries = append(c.Libraries, Library{e.Flags, name, path, e.Hwcap})
	return nil
}

// hwcaps reads the names of kinds of processor; at is where the extensions are in the whole file, 0 for nowhere. Only strings are
// counted from the start of the newer format.
func hwcaps(whole, text []byte, at uint32) ([]string, error) {
	if at == 0 {
		return nil, nil
	}
	var start struct{ Magic, Count uint32 }
	if !decode(whole, int(at), &start) || start.Magic != extensionMagic || uint64(start.Count)*sectionSize > uint64(len(whole)) {
		return nil, errMalformed
	}
	sections := make([]section, start.Count)
	if !decode(whole, int(at)+8, sections) {
		return nil, errMalformed
	}
	var names []string
	for _, s := range sections {
		if s.Tag != extensionHwcaps {
			continue
		}
		offsets := make([]uint32, min(s.Size, uint32(len(whole)))/4)
		if !decode(whole, int(s.Offset), offsets) {
			return nil, errMalformed
		}
		for _, o := range offsets {
			names = append(names, str(text, o))
		}
	}
	return names, nil
}

// decode reads a value at an offset, and says whether all of it was there.
func decode(text []byte, at int, into any) bool {
	if at < 0 || at > len(text) {
		return false
	}
	_, err := binary.Decode(text[at:], binary.LittleEndian, into)
	return err == nil
}

// str is the string at an offset; "" where there is none.
func str(text []byte, at uint32) string {
	if uint64(at) >= uint64(len(text)) {
		return ""
	}
	end := bytes.IndexByte(text[at:], 0)
	if end < 0 {
		return ""
	}
	return string(text[at : int(at)+end])
}

// Add puts libraries in before all others of the same names, so that a loader takes the first of them. A library that is there
// already gives way.
func (c *Cache) Add(libraries ...Library) {
	c.Libraries = slices.DeleteFunc(c.Libraries, func(l Library) bool { return slices.Contains(libraries, l) })
	c.Libraries = slices.Concat(libraries, c.Libraries)
	slices.SortStableFunc(c.Libraries, compare)
}

// compare is the order that a loader's search by halves goes by: names from the last to the first, then what is for some processors
// only. Those are in the right order already, and so is what is alike in all this.
func compare(a, b Library) int {
	forSome := func(l Library) int { return int(min(l.Hwcap, 1)) }
	return cmp.Or(compareNames(b.Name, a.Name), cmp.Compare(b.Flags, a.Flags), forSome(b)-forSome(a))
}

// compareNames compares as the loader does: digits as numbers, which come after all other characters.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		x, y := isDigit(a[0]), isDigit(b[0])
		switch {
		case x && y:
			var m, n int32
			m, a = number(a)
			n, b = number(b)
			if m != n {
				return int(m) - int(n)
			}
		case x:
			return 1
		case y:
			return -1
		case a[0] != b[0]:
			return int(a[0]) - int(b[0])
		default:
			a, b = a[1:], b[1:]
		}
	}
	return len(a) - len(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number reads the digits at the start, with the overflow that the loader has.
func number(s string) (n int32, rest string) {
	for s != "" && isDigit(s[0]) {
		n = n*10 + int32(s[0]-'0')
		s = s[1:]
	}
	return n, s
}

// Bytes writes the cache.
func (c *Cache) Bytes() ([]byte, error) {
	start := headerSize + len(c.Libraries)*entrySize
	var strings bytes.Buffer
	put := func(s string) uint32 {
		at := start + strings.Len()
		strings.WriteString(s + "\x00")
		return uint32(at)
	}
	h := header{Count: uint32(len(c.Libraries)), Endian: littleEndian}
	copy(h.Magic[:], magic)
	entries := make([]entry, len(c.Libraries))
	for i, l := range c.Libraries {
		entries[i] = entry{Flags: l.Flags, Name: put(l.Name), Path: put(l.Path), Hwcap: l.Hwcap}
	}
	names := make([]uint32, len(c.Hwcaps))
	for i, n := range c.Hwcaps {
		names[i] = put(n)
	}
	h.StringsLength = uint32(strings.Len())
	var tail []byte
	if len(names) > 0 {
		for strings.Len()%8 != 0 { // start is a multiple of 8, too
			strings.WriteByte(0)
		}
		h.Extension = uint32(start + strings.Len())
		s := section{Tag: extensionHwcaps, Offset: h.Extension + 8 + sectionSize, Size: uint32(4 * len(names))}
		tail = appendAll(nil, []uint32{extensionMagic, 1}, s, names)
	}
	if start+strings.Len()+len(tail) > MaxSize {
		return nil, fmt.Errorf("the loader's cache would be larger than %d MiB", MaxSize>>20)
	}
	return slices.Concat(appendAll(nil, h, entries), strings.Bytes(), tail), nil
}

// appendAll writes values of fixed sizes, which cannot fail.
func appendAll(to []byte, values ...any) []byte {
	for _, v := range values {
		to, _ = binary.Append(to, binary.LittleEndian, v)
	}
	return to
}
