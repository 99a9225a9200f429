// This file owns the reading of the loader's cache, /etc/ld.so.cache, as ldconfig writes it: in the format of glibc 2.2, alone or
// behind the older one. Of a cache only the directories of the driver's libraries are wanted.

package gpu

import (
	"bytes"
	"encoding/binary"
	"io"
	"iter"
	"os"
	"path"
	goruntime "runtime"
	"slices"
	"strings"
)

// maxCache is far above a cache of ten thousand libraries.
const maxCache = 16 << 20

// The beginnings of both formats.
var (
	oldCacheMagic = []byte("ld.so-1.7.0")
	newCacheMagic = []byte("glibc-ld.so.cache1.1")
)

// The sizes in bytes of both headers and their entries.
const (
	oldHeader, oldEntry = 16, 12
	newHeader, newEntry = 48, 24
)

// nativeFlags are those of a library for this processor that needs glibc: the lower byte is the kind, the other the processor.
var nativeFlags = map[string]uint32{"amd64": 0x0303, "arm64": 0x0a03}[goruntime.GOARCH]

// cacheKind is the part of an entry's flags that nativeFlags are compared with.
const cacheKind = 0xffff

// cachedDirs are the directories below a driver root in which its loader's cache has libraries of NVIDIA's for this machine.
func cachedDirs(root string) []string {
	f, err := os.Open(root + "/etc/ld.so.cache")
	if err != nil {
		return nil
	}
	defer f.Close()
	cache, err := io.ReadAll(io.LimitReader(f, maxCache))
	if err != nil {
		return nil
	}
	var dirs []string
	for name, file := range cachedLibraries(cache) {
		dir := path.Dir(file)
		if isDriverLibrary(name) && path.IsAbs(file) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// isDriverLibrary says whether a library is one by which the driver's directories are known.
func isDriverLibrary(name string) bool {
	return strings.HasPrefix(name, "libcuda.so") || strings.HasPrefix(name, "libnvidia-")
}

// cachedLibraries gives the name and the file of each library of a cache that is for this machine. What is no cache has none.
func cachedLibraries(cache []byte) iter.Seq2[string, string] {
	entries, names, size := cacheTable(cache)
	return func(yield func(name, file string) bool) {
		for ; len(entries) >= size; entries = entries[size:] {
			// Entries of both formats begin alike: flags, name, file.
			flags := binary.NativeEndian.Uint32(entries)
			name, file := cString(names, binary.NativeEndian.Uint32(entries[4:])), cString(names, binary.NativeEndian.Uint32(entries[8:]))
			if flags&cacheKind == nativeFlags && name != "" && !yield(name, file) {
				return
			}
		}
	}
}

// cacheTable finds the entries of a cache, each of a size, and the text in which their names are. The newer format comes behind the
// entries of the older one, at the next multiple of 8; where it does not, the names of those do.
func cacheTable(cache []byte) (entries, names []byte, size int) {
	length := uint64(len(cache))
	if bytes.HasPrefix(cache, oldCacheMagic) && length >= oldHeader {
		end := oldHeader + oldEntry*uint64(binary.NativeEndian.Uint32(cache[12:]))
		next := min((end+7)&^7, length)
		switch {
		case bytes.HasPrefix(cache[next:], newCacheMagic):
			return cacheTable(cache[next:])
		case end <= length:
			return cache[oldHeader:end], cache[end:], oldEntry
		}
	}
	if !bytes.HasPrefix(cache, newCacheMagic) || length < newHeader {
		return nil, nil, newEntry
	}
	end := newHeader + newEntry*uint64(binary.NativeEndian.Uint32(cache[20:]))
	return cache[newHeader:min(end, length)], cache, newEntry
}

// cString is the text at an offset that ends with a zero byte; "" where there is none.
func cString(b []byte, at uint32) string {
	if uint64(at) >= uint64(len(b)) {
		return ""
	}
	text, _, ok := bytes.Cut(b[at:], []byte{0})
	if !ok {
		return ""
	}
	return string(text)
}
