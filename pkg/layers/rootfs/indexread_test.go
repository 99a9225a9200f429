package rootfs

import (
	"fmt"
	"maps"
	"path"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestIndexDamaged reads indexes that were cut or changed: none may be taken for another number of names, or panic.
func TestIndexDamaged(t *testing.T) {
	var w Indexer
	for i := range 40 {
		w.add(&indexed{entry: Entry{Path: path.Join("/", fmt.Sprintf("%03d", i)), Mode: unix.S_IFREG, ModTime: time.Unix(int64(i), 0)},
			xattrs: maps.Clone(map[string][]byte{"user.a": []byte("b")})})
	}
	raw := w.raw
	for i := range raw {
		for _, damaged := range [][]byte{raw[:i], append(append(append([]byte{}, raw[:i]...), raw[i]^0xff), raw[i+1:]...)} {
			data, err := (&Indexer{raw: damaged}).Index()
			if err != nil {
				t.Fatal(err)
			}
			if x, err := readIndex(data); err == nil {
				x.lookup("/025")
				x.lookup("/zzz")
			}
		}
	}
	if _, err := readIndex([]byte("no index")); err == nil {
		t.Error("nonsense was read")
	}
	if w.add(&indexed{entry: Entry{Path: "/000"}}); w.err == nil {
		t.Error("a name out of order was added")
	}
}

// TestIndexTooLarge makes no index that nobody would read.
func TestIndexTooLarge(t *testing.T) {
	w := NewIndexer(false)
	for i := range maxIndex>>16 + 2 {
		w.add(&indexed{entry: Entry{Path: fmt.Sprintf("/%06d", i), Mode: unix.S_IFREG}, xattrs: map[string][]byte{"user.a": make([]byte, 1<<16)}})
	}
	if _, err := w.Index(); err == nil {
		t.Error("an index was made")
	}
}
