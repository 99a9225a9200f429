package layers

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/split"
)

// installs are what a RUN may do with distributions in /sp, over a state that has /sp/old/{a,sub/b}, /sp/old-1.dist-info
// and /sp/both. dist NAME FILES... installs some.
var installs = map[string]struct {
	script string
	parts  string // the files of each distribution, a line each
}{
	"two":                  {"dist a a/x.py; dist b b/y.so b/deep/z", "INFO a/x.py\nINFO b/deep/z b/y.so"},
	"scripts":              {"mkdir bin; dist a a.py ../bin/a", "bin/a INFO a.py"},
	"a file of two lists":  {"dist a a/x shared; dist b b/x shared", "INFO a/x\nINFO b/x"},
	"a list of all files":  {"dist a a/x; dist evil a/x ../etc/passwd a-1.dist-info/RECORD evil.py", "a-1.dist-info/METADATA\nINFO evil.py"},
	"outside":              {"dist a a/x; echo '../../../../../../etc/shadow,,' >>sp/a-1.dist-info/RECORD; echo '/etc/passwd,,' >>sp/a-1.dist-info/RECORD", "INFO a/x"},
	"a file of the system": {"dist a a/x; echo new >etc/passwd; echo '/etc/passwd,,' >>sp/a-1.dist-info/RECORD", "/etc/passwd INFO a/x"},
	"missing and empty":    {"dist a a/x; printf 'gone,,\\n\\n,,\\n' >>sp/a-1.dist-info/RECORD", "INFO a/x"},
	"a broken list":        {"dist a a/x; printf 'a\"b,\"' >>sp/a-1.dist-info/RECORD", ""},
	"a link for a list":    {"dist a a/x; mv sp/a-1.dist-info/RECORD r; ln -s /r sp/a-1.dist-info/RECORD", ""},
	"through a link":       {"ln -s /etc sp/l; dist a a/x; echo l/passwd,, >>sp/a-1.dist-info/RECORD", "INFO a/x"},
	"links":                {"dist a a/x a/l; ln -s x sp/a/s; echo a/s,, >>sp/a-1.dist-info/RECORD", "INFO a/l a/s a/x"},
	"hard links":           {"dist a a/x; ln sp/a/x sp/a/y; echo a/y,, >>sp/a-1.dist-info/RECORD", "INFO a/x a/y"},
	"hard link elsewhere":  {"dist a a/x a/z; ln sp/a/x other", "INFO a/z"},
	"linked distributions": {"dist a a/x a/1; dist b b/1; ln sp/a/x sp/b/x; echo b/x,, >>sp/b-1.dist-info/RECORD", "INFO a/1\nINFO b/1"},
	"byte code unlisted":   {"dist a a/x.py; mkdir sp/a/__pycache__; echo 1 >sp/a/__pycache__/x.cpython-311.pyc; echo 1 >sp/a/__pycache__/other.pyc", "INFO a/__pycache__/x.cpython-311.pyc a/x.py"},
	"an upgrade":           {"rm -r sp/old sp/old-1.dist-info; dist old old/a old/c", "INFO old/a old/c"},
	"an upgrade in place":  {"rm sp/old/a; dist old old/c", "INFO old/c"},
	"all made again":       {"rm -r sp; mkdir sp; dist old old/a; dist b b/x; echo x >sp/rest; mkdir -p sp/old/sub", "INFO b/x\nINFO old/a"},
	"deep replacement":     {"rm -r sp; mkdir -p sp/old/sub; echo x >sp/old/sub/rest; mkdir sp/both; dist b both/one", "INFO both/one"},
	"directory for a file": {"rm sp/both; dist b both/one", "INFO both/one"},
	"file for a directory": {"rm -r sp/old; dist b old", "INFO old"},
	"removal only":         {"rm -r sp/old sp/old-1.dist-info", ""},
	"owners and modes":     {"dist a a/x a/y; chmod 4755 sp/a/x; chmod 2770 sp/a; chown 3:4 sp/a sp/a/y; setfattr -n user.n -v 1 sp/a; setfattr -n user.n -v 1 sp/a/x", "INFO a/x a/y"},
	"times":                {"dist a a/x; touch -d @5 sp/a/x sp/a; touch -d @315619200 sp/a-1.dist-info", "INFO a/x"},
	"empty directories":    {"dist a a/x; mkdir sp/a/empty sp/e", "INFO a/x"},
	"odd names":            {"dist a a/x; touch \"sp/a/b c\" \"sp/a/n\nl\"; printf '\"a/b c\",,\n\"a/n\nl\",,\n' >>sp/a-1.dist-info/RECORD", "INFO a/b c a/n\nl a/x"},
	"fifo and socket":      {"dist a a/x; mkfifo sp/a/p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sp/a/s\")'; printf 'a/p,,\\na/s,,\\n' >>sp/a-1.dist-info/RECORD", "INFO a/p a/x"},
	"conda": {`mkdir -p c/conda-meta c/lib c/pkgs; echo 1 >c/lib/so; echo 2 >c/lib/two; ln c/lib/two c/pkgs/two
		echo '{"files":["lib/so","lib/two","../sp/old/a"],"more":1}' >c/conda-meta/so-1-py.json; echo x >sp/old/a`, "/c/conda-meta/so-1-py.json /c/lib/so old/a"},
}

// dist is the shell function that installs a distribution whose list has all its files.
const dist = `dist() { d=$1; shift; mkdir -p sp/$d-1.dist-info; echo meta-$d >sp/$d-1.dist-info/METADATA
	for f; do mkdir -p sp/$(dirname $f); test -e sp/$f || echo $d-$f >sp/$f; echo $f,sha256=x,5; done >sp/$d-1.dist-info/RECORD
	printf "$d-1.dist-info/METADATA,,\n$d-1.dist-info/RECORD,,\n" >>sp/$d-1.dist-info/RECORD; }
`

// installedState returns the snapshot directory of what the script installs, and the files below it.
func installedState(t *testing.T, s *Store, text string) (lower *rootfs.View, snapshot string) {
	t.Helper()
	base, k := keyOf("base"), keyOf("installed")
	change(t, s, Key{}, base, func(root string) {
		script(t, root, dist+`mkdir -p etc sp; echo root >etc/passwd; dist old old/a old/sub/b; echo both >sp/both
			find . -exec touch -h -d @1000 {} +`)
	})
	change(t, s, base, k, func(root string) { script(t, root, dist+text) })
	lower, err := s.View(base)
	check(t, err)
	return lower, dirsOf(t, s, k)[0]
}

// The law: whatever lists say, the layers of a split snapshot are together what it is in one, each unpacked by itself.
func TestSplit(t *testing.T) {
	for name, c := range installs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lower, snapshot := installedState(t, newStore(t), c.script)
			found, err := split.Find(snapshot)
			check(t, err)
			var parts []*split.Part
			var got []string
			for _, d := range found {
				if p := split.NewPart(d); len(p.Files) > 0 {
					parts = append(parts, p)
					info := path.Dir(d.List) + "/"
					line := strings.Join(p.Files, " ")
					line = strings.ReplaceAll(line, info+"METADATA "+info+"RECORD", "INFO")
					got = append(got, strings.ReplaceAll(strings.ReplaceAll(line, "/sp/", ""), "/bin", "bin"))
				}
			}
			if text := strings.Join(got, "\n"); text != c.parts {
				t.Errorf("parts\n%s\nwant\n%s", text, c.parts)
			}
			sameSplit(t, snapshot, lower, parts)
		})
	}
}

// sameSplit compares what the layers of parts and the rest make with what the whole layer makes.
func sameSplit(t *testing.T, snapshot string, lower *rootfs.View, parts []*split.Part) {
	t.Helper()
	whole := applyTo(t, writeDiff(t, snapshot, lower), lower)
	want := timed(t, lower.Over(whole))
	below := lower
	seen := map[string]bool{}
	for _, p := range parts {
		var buf bytes.Buffer
		check(t, rootfs.WriteFiles(t.Context(), &buf, snapshot, p.Files, nil))
		for _, name := range members(t, buf.Bytes()) {
			if !strings.HasSuffix(name, "/") && seen[name] {
				t.Errorf("%s is in two layers", name)
			}
			seen[name] = true
		}
		below = below.Over(applyTo(t, buf.Bytes(), rootfs.NewView()))
	}
	var buf bytes.Buffer
	check(t, rootfs.WriteDiff(t.Context(), &buf, []string{snapshot}, rootfs.DiffOptions{Lower: lower, Apart: split.Apart(parts)}))
	for _, name := range members(t, buf.Bytes()) {
		if !strings.HasSuffix(name, "/") && seen[name] {
			t.Errorf("%s is in the rest, too", name)
		}
	}
	rest := applyTo(t, buf.Bytes(), below)
	sameLines(t, "split", timed(t, below.Over(rest)), want)
}

// timed is lines with the times of directories.
func timed(t testing.TB, v *rootfs.View) []string {
	all := lines(t, v)
	check(t, v.Walk("/", func(e *rootfs.Entry) error {
		if e.IsDir() && e.Path != "/" {
			all = append(all, fmt.Sprintf("%s at %d", e.Path, e.ModTime.Unix()))
		}
		return nil
	}))
	return all
}

// FuzzSplit splits a fuzzed layer at random.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("\x00a\x01b\x02c"), []byte("\x03a\x04b\x05c"), uint64(5))
	f.Add([]byte("\x00d\x10d\x11d"), []byte("\x05d\x20d\x00d\x31e"), uint64(0xffffffff))
	f.Fuzz(func(t *testing.T, low, up []byte, choice uint64) {
		lower := rootfs.NewView(applyFuzzed(t, low, rootfs.NewView()))
		upper := applyFuzzed(t, up, lower)
		var lists [2]strings.Builder
		check(t, rootfs.NewView(upper).Walk("/", func(e *rootfs.Entry) error {
			choice = choice>>3 | choice<<61
			if choice&3 < 2 {
				fmt.Fprintf(&lists[choice&3], "%q,,\n", e.Path)
			}
			return nil
		}))
		for i := range lists {
			dir := fmt.Sprintf("%s/list%d-1.dist-info", upper, i)
			check(t, os.Mkdir(dir, 0o755))
			write(t, dir+"/RECORD", lists[i].String())
		}
		found, err := split.Find(upper)
		check(t, err)
		var parts []*split.Part
		for _, d := range found {
			parts = append(parts, split.NewPart(d))
		}
		sameSplit(t, upper, lower, parts)
	})
}

// Equal distributions are equal layers, whatever is beside and below them, and are packed once.
func TestSplitLayers(t *testing.T) {
	s := newStore(t)
	large := dist + `umask 022; dist a a/x; truncate -s 17M sp/a/x; dist b b/x; truncate -s 18M sp/b/x; dist c c/x
		find sp/[abc] sp/*.dist-info -exec touch -h -d @315619200 {} +; `
	change(t, s, Key{}, keyOf("one"), func(root string) { script(t, root, large+"echo 1 >sp/one") })
	change(t, s, Key{}, keyOf("base"), func(root string) { script(t, root, "mkdir -p sp; echo base >sp/base") })
	change(t, s, keyOf("base"), keyOf("two"), func(root string) { script(t, root, large+"echo 2 >sp/c/x; touch -d @7 sp") })
	o := LayerOptions{Max: 12}
	one, existed, err := s.Layers(t.Context(), keyOf("one"), o)
	check(t, err)
	if existed || len(one) != 3 {
		t.Fatalf("%d layers, existed: %v", len(one), existed)
	}
	two, _, err := s.Layers(t.Context(), keyOf("two"), o)
	check(t, err)
	again, existed, err := s.Layers(t.Context(), keyOf("two"), o)
	check(t, err)
	if !existed || !slices.Equal(digests(t, again), digests(t, two)) || !s.HasLayers(keyOf("two"), o) {
		t.Error("the layers were made again")
	}
	if d, e := digests(t, one), digests(t, two); !slices.Equal(d[:2], e[:2]) || d[2] == e[2] {
		t.Errorf("layers %v and %v", d, e)
	}
	if got := fmt.Sprint(DistributionsOf(two[0]), DistributionsOf(two[1]), DistributionsOf(two[2])); got != "[a 1] [b 1] []" {
		t.Errorf("distributions %s", got)
	}
	if made, again := two[0].(*storedLayer).record.Made, one[0].(*storedLayer).record.Made; !made.Equal(again) {
		t.Error("a distribution was packed twice")
	}
	for _, n := range []int{0, 1} {
		if all, _, err := s.Layers(t.Context(), keyOf("two"), LayerOptions{Max: n}); err != nil || len(all) != 1 {
			t.Errorf("at most %d: %d, %v", n, len(all), err)
		}
	}
	path, err := s.disk.blob(mustDigest(t, one[0]))
	check(t, err)
	check(t, os.Remove(path))
	again, existed, err = s.Layers(t.Context(), keyOf("one"), o)
	check(t, err)
	if existed || !slices.Equal(digests(t, again), digests(t, one)) {
		t.Error("a lost blob is not made again")
	}
}

func digests(t *testing.T, all []v1.Layer) (out []string) {
	for _, l := range all {
		out = append(out, mustDigest(t, l).String())
	}
	return out
}

func mustDigest(t *testing.T, l v1.Layer) v1.Hash {
	d, err := l.Digest()
	check(t, err)
	r, err := l.Uncompressed()
	check(t, err)
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	check(t, err)
	return d
}

// SOURCE_DATE_EPOCH holds in the layers of distributions, too.
func TestSplitEpoch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/x", "x")
	check(t, os.Chtimes(dir+"/x", time.Time{}, time.Unix(400000000, 0)))
	check(t, unix.Chmod(dir+"/x", 0o600))
	epoch := int64(1000)
	var buf bytes.Buffer
	check(t, rootfs.WriteFiles(t.Context(), &buf, dir, []string{"/x"}, &epoch))
	if got := times(t, buf.Bytes()); got != "x 1000" {
		t.Errorf("times %s", got)
	}
}

func times(t *testing.T, data []byte) string {
	var out []string
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		check(t, err)
		out = append(out, fmt.Sprintf("%s %d", h.Name, h.ModTime.Unix()))
	}
}

// Settle makes two installations equal, but for byte code that names times.
func TestSettle(t *testing.T) {
	s := newStore(t)
	change(t, s, Key{}, keyOf("base"), func(root string) { script(t, root, "mkdir -p sp etc; touch -d @1000 sp etc") })
	install := func(at int) Key {
		d, err := s.Draft(t.Context(), keyOf("base"))
		check(t, err)
		defer d.Discard()
		root, err := d.Mount(t.Context())
		if err != nil {
			t.Skipf("cannot mount overlays here: %v", err)
		}
		script(t, root, dist+fmt.Sprintf(`umask 022; dist a a/deep/x.py a/deep/x.pyc; printf 'magic\1\0\0\0' >sp/a/deep/x.pyc
			dist b b/x.py b/x.pyc; printf 'magi\0\0\0\0time' >sp/b/x.pyc; ln -s x sp/a/l; echo a/l,, >>sp/a-1.dist-info/RECORD
			echo x >sp/other; mkdir new; find . -newermt @2000 -exec touch -h -d @%d {} +`, at))
		check(t, d.Unmount())
		check(t, d.Settle())
		k := keyOf(fmt.Sprint(at))
		check(t, d.Commit(t.Context(), k))
		return k
	}
	for _, at := range []int{5000, 6000} {
		v, err := s.View(install(at))
		check(t, err)
		want := map[string]int64{"/sp": rootfs.SettledTime, "/sp/a": rootfs.SettledTime, "/sp/a/deep": rootfs.SettledTime, "/sp/a/deep/x.py": rootfs.SettledTime,
			"/sp/a/l": rootfs.SettledTime, "/sp/a-1.dist-info/RECORD": rootfs.SettledTime, "/sp/b/x.py": int64(at), "/sp/b": int64(at), "/sp/other": int64(at),
			"/new": int64(at), "/etc": 1000}
		for name, time := range want {
			e, err := v.Lstat(name)
			check(t, err)
			if e.ModTime.Unix() != time {
				t.Errorf("%s is of %d, want %d", name, e.ModTime.Unix(), time)
			}
		}
	}
}

// Byte code that names the time of its source names the settled one afterwards; what did not agree before keeps what it has.
func TestSettleByteCode(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		name, source, code, want string // times of the source, those in the header and afterwards; "left": all stays
		place                    string
	}{
		{"Python 3.7 and later", "5000", "0 5000 2", "0 315619200 2", "a/__pycache__/x.cpython-311.pyc"},
		{"optimised", "5000", "0 5000 2", "0 315619200 2", "a/__pycache__/x.cpython-311.opt-2.pyc"},
		{"Python 3.6", "1700000000", "1700000000 2 9", "315619200 2 9", "a/__pycache__/x.cpython-36.pyc"},
		{"Python 2", "1700000000", "1700000000 99 9", "315619200 99 9", "a/x.pyc"},
		{"bound to content", "5000", "1 7 8", "1 7 8", "a/__pycache__/x.cpython-311.pyc"},
		{"unchecked", "5000", "3 7 8", "3 7 8", "a/__pycache__/x.cpython-311.pyc"},
		{"another time", "5000", "0 5001 2", "left", "a/__pycache__/x.cpython-311.pyc"},
		{"another size", "5000", "0 5000 3", "left", "a/__pycache__/x.cpython-311.pyc"},
		{"no source", "5000", "0 7 8", "0 7 8", "a/__pycache__/gone.cpython-311.pyc"},
		{"elsewhere", "5000", "0 5000 2", "left", "pycache/a/x.cpython-311.pyc"},
	} {
		d, err := s.Draft(t.Context(), Key{})
		check(t, err)
		defer d.Discard()
		words := func(text string) (all []byte) {
			for _, w := range strings.Fields("1 " + text) {
				n, err := strconv.ParseUint(w, 10, 32)
				check(t, err)
				all = binary.LittleEndian.AppendUint32(all, uint32(n))
			}
			return append(all, "code"...)
		}
		script(t, d.Dir(), dist+"dist a a/x.py "+c.place+"; printf ab >sp/a/x.py; touch -d @"+c.source+" sp/a/x.py")
		place := d.Dir() + "/sp/" + c.place
		check(t, os.WriteFile(place, words(c.code), 0o444))
		check(t, d.Settle())
		want, at := c.want, int64(rootfs.SettledTime)
		if want == "left" {
			want = c.code
			at, err = strconv.ParseInt(c.source, 10, 64)
			check(t, err)
		}
		got, err := os.ReadFile(place)
		check(t, err)
		info, err := os.Stat(d.Dir() + "/sp/a/x.py")
		check(t, err)
		if !bytes.Equal(got, words(want)) || info.ModTime().Unix() != at {
			t.Errorf("%s: %x, the source is of %d; want %x and %d", c.name, got, info.ModTime().Unix(), words(want), at)
		}
	}
}
