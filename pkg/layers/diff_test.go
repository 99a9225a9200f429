package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// changes are what a RUN may do to a state that has /etc/{passwd,group}, /opt/{a,b} (one file), /opt/dir/{one,two},
// /var/run -> /run and /tmp.
var changes = map[string]struct {
	script string
	want   string // the members of the layer
	copied string // those where a RUN works on a copy, if they are others
}{
	"nothing":                         {"true", "", ""},
	"a new file":                      {"echo x >etc/new", "etc/ etc/new", ""},
	"a new tree":                      {"mkdir -p n/e/w; echo x >n/e/w/f; mkdir n/empty", "n/ n/e/ n/e/w/ n/e/w/f n/empty/", ""},
	"a file removed":                  {"rm etc/passwd", "etc/ etc/.wh.passwd", ""},
	"made and removed":                {"echo x >tmp/x; rm tmp/x", "", ""},
	"a directory removed":             {"rm -r opt", ".wh.opt", ""},
	"a directory made again":          {"rm -r opt; mkdir opt; echo x >opt/x", "opt/ opt/.wh..wh..opq opt/x", ""},
	"an empty directory made again":   {"rmdir tmp; mkdir -m 1777 tmp", "", ""},
	"all of a directory replaced":     {"rm -r opt/dir; mkdir opt/dir", "opt/ opt/dir/ opt/dir/.wh..wh..opq", ""},
	"file for directory":              {"rm -r opt; echo x >opt", "opt", ""},
	"directory for file":              {"rm etc/passwd; mkdir etc/passwd; echo x >etc/passwd/x", "etc/ etc/passwd/ etc/passwd/x", ""},
	"directory for link":              {"rm var/run; mkdir var/run; echo x >var/run/x", "var/ var/run/ var/run/x", ""},
	"mode of a directory":             {"chmod 0700 opt", "opt/", ""},
	"mode of a file":                  {"chmod 4755 etc/passwd", "etc/ etc/passwd", ""},
	"mode there and back":             {"chmod 0700 etc/passwd; chmod 0644 etc/passwd", "", ""},
	"owner of a link":                 {"chown -h 3:4 var/run", "var/ var/run", ""},
	"time":                            {"touch -d @5 etc/group", "etc/ etc/group", ""},
	"time of a directory":             {"touch -d @5 etc", "", ""},
	"the same size and time":          {"echo Group >etc/group; touch -d @1000 etc/group", "etc/ etc/group", ""},
	"the same again":                  {"rm etc/group; echo group >etc/group; touch -d @1000 etc/group", "", ""},
	"hard links":                      {"mkdir n; echo x >n/1; ln n/1 n/2; ln n/1 m; ln -s m s; ln s s2", "m n/ n/1 = m n/2 = m s s2 = s", ""},
	"hard link to a lower file":       {"ln etc/passwd etc/p2", "etc/ etc/p2 etc/passwd = etc/p2", ""},
	"one of two names changed":        {"echo more >>opt/a", "opt/ opt/a", "opt/ opt/a opt/b = opt/a"},
	"fifo and socket":                 {"mkfifo tmp/p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"tmp/s\")'", "tmp/ tmp/p", ""},
	"renames":                         {"mv opt/dir opt/moved; mv etc/passwd etc/zz", "etc/ etc/.wh.passwd etc/zz opt/ opt/.wh.dir opt/moved/ opt/moved/one opt/moved/two", ""},
	"mode of the root":                {"chmod 0711 .", "./", ""},
	"attributes":                      {"setfattr -n user.note -v hi etc/group", "etc/ etc/group", ""},
	"odd names":                       {"touch -- -x 'a b' \"$(printf 'n\\nl')\" \"$(printf '\\377')\" ünï", "-x a b n\nl ünï \xff", ""},
	"old and far times":               {"touch -d @-1000000 tmp/old; touch -d @99999999999 tmp/far", "tmp/ tmp/far tmp/old", ""},
	"owners beyond octal":             {"touch tmp/o; chown 3000000:3000000 tmp/o", "tmp/ tmp/o", ""},
	"long names":                      {"d=tmp; for i in 1 2 3; do d=$d/$(printf %0120d $i); done; mkdir -p $d; echo x >$d/f", "LONG", ""},
	"whiteout-like name that is none": {"touch tmp/.whale tmp/wh..wh..opq", "tmp/ tmp/.whale tmp/wh..wh..opq", ""},
	"a large sparse file":             {"truncate -s 3M tmp/big; echo x >>tmp/big", "tmp/ tmp/big", ""},
}

func baseState(t *testing.T, s *Store) Key {
	k := keyOf("base")
	change(t, s, Key{}, k, func(root string) {
		script(t, root, `mkdir -p etc opt/dir var run tmp; echo root >etc/passwd; echo group >etc/group; echo a >opt/a; ln opt/a opt/b
			echo 1 >opt/dir/one; echo 2 >opt/dir/two; ln -s /run var/run; chmod 1777 tmp
			find . -exec touch -h -d @1000 {} +`)
	})
	return k
}

// The law: what WriteDiff writes and Apply reads is the state that it was. And the layer has no more than it needs.
func TestDiffApply(t *testing.T) {
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEachWay(t, func(t *testing.T, s *Store) {
				base, k := baseState(t, s), keyOf("changed")
				change(t, s, base, k, func(root string) { script(t, root, c.script) })
				v, err := s.View(k)
				check(t, err)
				lower, err := s.View(base)
				check(t, err)
				data := writeDiff(t, dirsOf(t, s, k)[0], lower)
				want := c.want
				if way, _ := s.way(); way == snapshotter.Copied && c.copied != "" {
					want = c.copied
				}
				fuse := isFuse(t, s.Dir()) // it keeps no time at which a directory was made, and tells times that are not on the disk
				if fuse && strings.Contains(c.script, "touch -d @-1") {
					t.Skip("the times of its files change by themselves")
				}
				if got := strings.Join(members(t, data), " "); got != want && want != "LONG" && (!fuse || !strings.Contains(want, "opq")) {
					t.Errorf("members %q, want %q", got, want)
				}
				if !bytes.Equal(data, writeDiff(t, dirsOf(t, s, k)[0], lower)) {
					t.Error("the second tar differs")
				}
				dir := applyTo(t, data, lower)
				sameLines(t, "applied", lines(t, lower.Over(dir)), lines(t, v))
				sameAsMount(t, s, k, v)
			})
		})
	}
}

// sameAsMount compares a View with what the kernel shows.
func sameAsMount(t *testing.T, s *Store, k Key, v *rootfs.View) {
	d, err := s.Draft(t.Context(), k)
	check(t, err)
	defer d.Discard()
	root, err := d.Mount(t.Context())
	check(t, err)
	if one, ok := s.trees.(*oneTree); ok {
		one.held.Wait() // what was taken out of the place is removed beside
	}
	want := withoutTheirs(lines(t, rootfs.NewView(root)))
	// A file of several names in different snapshots is one for the kernel only where it is one on disk: compare names.
	sameLines(t, "view", names(lines(t, v)), names(want))
}

func names(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.SplitN(l, " = ", 2)[0])
	}
	return out
}

func TestDiffHeaders(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	write(t, dir+"/f", "x")
	check(t, os.Chtimes(dir+"/f", time.Unix(5, 999), time.Unix(2000, 999999999)))
	write(t, dir+"/x", "x")
	check(t, unix.Setxattr(dir+"/x", "user.a", []byte("1"), 0))
	check(t, unix.Setxattr(dir+"/x", "user.overlay.origin", []byte("1"), 0))
	epoch := int64(1500)
	var buf bytes.Buffer
	check(t, rootfs.WriteDiff(context.Background(), &buf, []string{dir}, rootfs.DiffOptions{Epoch: &epoch}))
	r := tar.NewReader(&buf)
	h, err := r.Next()
	check(t, err)
	if h.Format != tar.FormatUSTAR || h.ModTime.Unix() != 1500 || h.ModTime.Nanosecond() != 0 || h.Uname+h.Gname != "" || !h.AccessTime.IsZero() {
		t.Errorf("header %+v", h)
	}
	h, err = r.Next()
	check(t, err)
	if fmt.Sprint(h.PAXRecords) != "map[SCHILY.xattr.user.a:1]" {
		t.Errorf("records %v", h.PAXRecords)
	}
	write(t, dir+"/.wh.bad", "")
	err = rootfs.WriteDiff(context.Background(), &buf, []string{dir}, rootfs.DiffOptions{})
	if err == nil || !strings.Contains(err.Error(), "/.wh.bad") {
		t.Errorf("a name that cannot be in a layer: %v", err)
	}
}

// FuzzDiffApply applies two fuzzed layers, and lets the upper one go through WriteDiff and Apply.
func FuzzDiffApply(f *testing.F) {
	f.Add([]byte("\x00a\x01b\x02c"), []byte("\x03a\x04b\x05c"))
	f.Add([]byte("\x00d\x10d\x11d"), []byte("\x05d\x20d\x00d\x31e"))
	f.Fuzz(func(t *testing.T, low, up []byte) {
		lower := rootfs.NewView(applyFuzzed(t, low, rootfs.NewView()))
		upper := applyFuzzed(t, up, lower)
		want := lower.Over(upper)
		got := applyTo(t, writeDiff(t, upper, lower), lower)
		sameLines(t, "applied", lines(t, lower.Over(got)), lines(t, want))
	})
}

// applyFuzzed makes a layer of a few short names: each pair of bytes is a kind and a name.
func applyFuzzed(t *testing.T, data []byte, lower *rootfs.View) string {
	var entries []string
	for i := 0; i+1 < len(data) && i < 40; i += 2 {
		kind, name := data[i], data[i+1]
		dir := []string{"", "a/", "b/", "a/b/"}[name>>2&3]
		base := []string{"a", "b", "c", "d"}[name&3]
		entries = append(entries, []string{"d " + dir + base, "f " + dir + base + " " + fmt.Sprint(kind), "l " + dir + base + " a",
			"h " + dir + base + " a/c", "f " + dir + ".wh." + base, "f " + dir + ".wh..wh..opq", "p " + dir + base,
			"f " + dir + base + " 1"}[kind&7])
	}
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	if _, err := apply(t.Context(), bytes.NewReader(tarOf(t, entries...)), dir, applyOptions{Lower: lower}); err != nil {
		t.Skip(err)
	}
	return dir
}
