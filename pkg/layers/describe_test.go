package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// describe makes an index of a tar, and the bytes of its files.
func describeLayer(t *testing.T, data []byte, lower *rootfs.View) (rootfs.Index, *rootfs.Memory, error) {
	t.Helper()
	dir := t.TempDir()
	spool := &rootfs.Spool{Dir: func() (string, error) { return dir, nil }}
	t.Cleanup(func() { spool.Close() })
	d := rootfs.NewDescriber(1<<40, spool.Summing(func(string) bool { return true }))
	if _, err := d.Layer(context.Background(), bytes.NewReader(data)); err != nil {
		return rootfs.Index{}, nil, err
	}
	tree, err := d.Finish(lower)
	if err != nil {
		return rootfs.Index{}, nil, err
	}
	indexed, err := tree.Index()
	check(t, err)
	x, err := rootfs.OpenIndex(indexed, nil)
	check(t, err)
	return x, tree, nil
}

// listing says all that is known of the files of a view. names tells which of them are one file.
func listing(t *testing.T, v *rootfs.View, content bool) string {
	t.Helper()
	var all []string
	first := map[[2]uint64]string{}
	check(t, v.Walk("/", func(e *rootfs.Entry) error {
		line := describeIndexed(t, e)
		if e.Path == "/" { // its time is that of the unpacking, if no entry names it
			line = fmt.Sprintf("/ %o %d:%d", e.Mode, e.UID, e.GID)
		}
		if e.Nlink > 1 && !e.IsDir() {
			inode := [2]uint64{e.Dev, e.Ino}
			if first[inode] == "" {
				first[inode] = e.Path
			}
			line += " = " + first[inode]
		}
		if content && e.IsRegular() {
			f, err := v.Open(e.Path)
			check(t, err)
			text, err := io.ReadAll(f)
			f.Close()
			check(t, err)
			line += " " + string(text)
		}
		all = append(all, line)
		return nil
	}))
	return strings.Join(all, "\n")
}

// sameDescribed holds what is described of a layer to what is unpacked of it. It says whether that could be unpacked.
func sameDescribed(t *testing.T, lowerData, data []byte) bool {
	t.Helper()
	lowerDir, dir := applyTo(t, lowerData, nil), t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	lower := rootfs.NewView(lowerDir)
	lowerIndex, lowerTree, err := describeLayer(t, lowerData, rootfs.NewView())
	check(t, err)
	_, unpackErr := apply(t.Context(), bytes.NewReader(data), dir, applyOptions{Lower: lower})
	x, tree, err := describeLayer(t, data, rootfs.NewView().OverMemory(lowerTree))
	if (err == nil) != (unpackErr == nil) {
		t.Errorf("described: %v, unpacked: %v", err, unpackErr)
	}
	if err != nil || unpackErr != nil {
		return false
	}
	want := listing(t, lower.Over(dir), true)
	if got := listing(t, rootfs.NewView().OverMemory(lowerTree).OverMemory(tree), true); got != want {
		t.Errorf("described:\n%s\nunpacked:\n%s", got, want)
	}
	want = listing(t, lower.Over(dir), false)
	if got := listing(t, rootfs.IndexView(x, lowerIndex), false); got != want {
		t.Errorf("the index has:\n%s\nunpacked:\n%s", got, want)
	}
	return true
}

// TestDescribeIsApply describes layers that are made at random of few names, so that they meet each other in all ways.
func TestDescribeIsApply(t *testing.T) {
	for _, seed := range []uint64{
		1795955419548716784, // a link that comes after a directory without an entry, and leads to another one
		uint64(time.Now().UnixNano()),
	} {
		describeIsApply(t, seed)
	}
}

func describeIsApply(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	names := []string{"a", "b", "c", "a/b", "a/c", "b/a", "a/b/c", "b/c/a", "./a/c/", "c/c", "l/a", "b/l/c"}
	links := []string{"l", "b/l"}
	hard := []string{"h", "a/h", "b/c/h"} // where one has the name of a directory, and waits, that has the time at which it was unpacked
	pick := func() string { return names[random.IntN(len(names))] }
	entry := func(w *tar.Writer, removes bool) {
		h := &tar.Header{Name: pick(), Mode: int64(0o600 + random.IntN(0o100)), Uid: random.IntN(3), Gid: random.IntN(3), ModTime: time.Unix(int64(1e9+random.IntN(5)), 0),
			Format: tar.FormatPAX}
		body := ""
		switch kind := random.IntN(12); {
		case kind < 4:
			h.Typeflag, body = tar.TypeReg, fmt.Sprint(random.IntN(100))
			h.Name = strings.TrimSuffix(h.Name, "/")
		case kind < 7:
			h.Typeflag = tar.TypeDir
		case kind == 7:
			h.Typeflag, h.Linkname, h.Name = tar.TypeSymlink, []string{"", "/", "../", "./"}[random.IntN(4)]+pick(), links[random.IntN(len(links))]
		case kind == 8:
			h.Typeflag, h.Linkname, h.Name = tar.TypeLink, pick(), hard[random.IntN(len(hard))]
		case kind == 9:
			h.Typeflag, h.Name = tar.TypeFifo, strings.TrimSuffix(h.Name, "/")
		case kind == 10 && removes:
			name := strings.TrimSuffix(h.Name, "/")
			at := strings.LastIndexByte(name, '/') + 1
			h.Typeflag, h.Name = tar.TypeReg, name[:at]+".wh."+name[at:]
		case kind == 11 && removes:
			h.Typeflag, h.Name = tar.TypeReg, strings.TrimSuffix(h.Name, "/")+"/.wh..wh..opq"
		default:
			return
		}
		h.Size = int64(len(body))
		check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, body)
		check(t, err)
	}
	layer := func(removes bool) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for range 1 + random.IntN(9) {
			entry(w, removes)
		}
		check(t, w.Close())
		return buf.Bytes()
	}
	fine := 0
	for n := 0; n < 150 && !t.Failed(); n++ {
		lower := layer(false)
		if _, err := apply(t.Context(), bytes.NewReader(lower), t.TempDir(), applyOptions{}); err != nil {
			continue
		}
		upper := layer(true)
		if sameDescribed(t, lower, upper) {
			fine++
		}
		if t.Failed() {
			t.Logf("seed %d, layer %d:\nlower:\n%s\nupper:\n%s", seed, n, entriesOf(lower), entriesOf(upper))
		}
	}
	if fine < 20 && !t.Failed() {
		t.Errorf("only %d layers could be unpacked", fine)
	}
}

func entriesOf(data []byte) (text string) {
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err != nil {
			return text
		}
		text += fmt.Sprintf("%c %q %q\n", h.Typeflag, h.Name, h.Linkname)
	}
}
