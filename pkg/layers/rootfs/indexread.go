// Reading an index. It may come from a stranger's cache, so every length is checked, and a damaged one is an error, never a panic.

package rootfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// index is one that is read.
type index struct {
	raw    []byte // all records
	starts []int  // offsets in raw of the records whose names are whole
}

// readIndex checks an index once, so that looking a name up in it cannot fail later.
func readIndex(data []byte) (*index, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxIndex))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	x := &index{}
	if x.raw, err = z.DecodeAll(data, nil); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	r := indexReader{rest: x.raw}
	for n := 0; len(r.rest) > 0 && !r.bad; n++ {
		if n%indexRestart == 0 {
			x.starts = append(x.starts, len(x.raw)-len(r.rest))
		}
		last := string(r.key)
		if r.next(nil); n > 0 && string(r.key) <= last {
			r.bad = true
		}
	}
	if r.bad {
		return nil, errIndex
	}
	return x, nil
}

// lookup returns what the index says of a path, nil if it does not have it.
func (x *index) lookup(name string) *indexed {
	key := []byte(indexKey(name))
	at, found := slices.BinarySearchFunc(x.starts, key, func(start int, key []byte) int {
		r := indexReader{rest: x.raw[start:]}
		r.next(nil)
		return bytes.Compare(r.key, key)
	})
	if !found {
		at--
	}
	if at < 0 {
		return nil
	}
	r := indexReader{rest: x.raw[x.starts[at]:]}
	for range indexRestart {
		if len(r.rest) == 0 {
			break
		}
		var e indexed
		r.next(&e)
		if bytes.Equal(r.key, key) {
			return &e
		}
	}
	return nil
}

// indexReader reads records one after the other.
type indexReader struct {
	rest []byte // bytes that were not read yet
	key  []byte // the name in the last record
	bad  bool   // the index is damaged; what was read since is worth nothing
}

// uint reads a number. Behind the end all numbers are 0, and the reader is bad.
func (r *indexReader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *indexReader) skip(n int) {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

// bytes reads a length and so many bytes.
func (r *indexReader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// next reads a record into x, or over it.
func (r *indexReader) next(x *indexed) {
	shared, rest := r.uint(), r.bytes()
	if shared > uint64(len(r.key)) {
		r.bad, r.rest = true, nil
		return
	}
	r.key = append(r.key[:shared], rest...)
	if x == nil {
		x = &indexed{}
	}
	flags, e := r.uint(), &x.entry
	e.Mode, e.UID, e.GID, e.Size, e.Rdev = uint32(r.uint()), int(r.uint()), int(r.uint()), int64(r.uint()), r.uint()
	seconds, n := binary.Varint(r.rest)
	r.skip(n)
	e.ModTime, e.Nlink, e.Link = time.Unix(seconds, 0), 1, string(r.bytes())
	for left := r.uint(); left > 0 && !r.bad; left-- {
		name, value := string(r.bytes()), r.bytes()
		if !PortableXattr(name) {
			continue
		}
		if x.xattrs == nil {
			x.xattrs = map[string][]byte{}
		}
		x.xattrs[name] = value
	}
	x.opaque = flags&1 != 0
	if flags&2 != 0 {
		x.content = r.bytes()
	}
	if flags&4 != 0 {
		x.sum = r.bytes()
	}
}
