// Reading an index. It may come from a stranger's cache, so every length is checked, and a damaged one is an error, never a panic.

package rootfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// index is one that is read.
type index struct {
	raw    []byte // all records
	starts []int  // offsets in raw of the records whose names are whole
	device uint64 // tells its files from those of other indexes
	summed bool   // it has digests of all files
	from   Contents
}

// devices counts the indexes and the trees in memory of this process. No disk has such a number.
var devices atomic.Uint64

func newDevice() uint64 { return 1<<63 | devices.Add(1) }

// readIndex checks an index once, so that looking a name up in it cannot fail later.
func readIndex(data []byte) (*index, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxIndex))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	x := &index{device: newDevice(), summed: true}
	if x.raw, err = z.DecodeAll(data, nil); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	r, last := indexReader{rest: x.raw}, []byte(nil)
	for n := 0; len(r.rest) > 0 && !r.bad; n++ {
		if n%indexRestart == 0 {
			x.starts = append(x.starts, len(x.raw)-len(r.rest))
		}
		var e indexed
		last = append(last[:0], r.key...)
		if r.next(&e); n > 0 && bytes.Compare(r.key, last) <= 0 {
			r.bad = true
		}
		x.summed = x.summed && (e.sum != nil || !e.entry.IsRegular())
	}
	if r.bad {
		return nil, errIndex
	}
	return x, nil
}

// lookup returns what the index says of a path, nil if it does not have it.
func (x *index) lookup(name string) *indexed {
	key := []byte(indexKey(name))
	at, ok := x.seek(key)
	if !ok {
		return nil
	}
	r := indexReader{rest: x.raw[at:]}
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

// seek returns where in the records to begin to look for a name. Only before the first one there is no such place.
func (x *index) seek(key []byte) (at int, ok bool) {
	i, found := slices.BinarySearchFunc(x.starts, key, func(start int, key []byte) int {
		r := indexReader{rest: x.raw[start:]}
		r.next(nil)
		return bytes.Compare(r.key, key)
	})
	if !found {
		i--
	}
	if i < 0 {
		return 0, false
	}
	return x.starts[i], true
}

// list calls add for each name in a directory, and looks at nothing below them.
func (x *index) list(dir string, add func(name string)) {
	prefix := []byte(indexKey(dir))
	if len(prefix) > 0 {
		prefix = append(prefix, 0)
	}
	var past []byte // what is below the last name that is a directory ends before this
	for key := prefix; ; key = past {
		at, ok := x.seek(key)
		if !ok {
			at = 0
		}
		r := indexReader{rest: x.raw[at:]}
		past = nil
		for past == nil {
			if len(r.rest) == 0 {
				return
			}
			var e indexed
			r.next(&e)
			if bytes.Compare(r.key, key) < 0 || len(r.key) == 0 {
				continue
			}
			if !bytes.HasPrefix(r.key, prefix) {
				return
			}
			name, _, deeper := bytes.Cut(r.key[len(prefix):], []byte{0})
			if !deeper { // what lies below a name that is not there is not there, either
				add(string(name))
			}
			if deeper || e.entry.IsDir() {
				past = append(slices.Concat(prefix, name), 1)
			}
		}
	}
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
	if flags&8 != 0 {
		x.group = r.uint()
		e.Nlink = 2
	}
	e.implied = flags&16 != 0
}
