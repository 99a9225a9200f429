package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// plain lists files below dir as they lie on disk: whiteouts as "w name", opaque directories with a "!".
func plain(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		check(t, err)
		name := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		e, err := rootfs.Lstat(path, "/"+name)
		check(t, err)
		switch {
		case name == "" && !rootfs.IsOpaque(path):
			return nil
		case e.IsWhiteout():
			name = "w:" + name
		case e.IsDir():
			name += "/"
			if rootfs.IsOpaque(path) {
				name += "!"
			}
		case e.IsSymlink():
			name += "->" + e.Link
		case e.IsRegular():
			data, err := os.ReadFile(path)
			check(t, err)
			if len(data) > 0 {
				name += "=" + string(data)
			}
		}
		out = append(out, name)
		return nil
	}))
	return strings.Join(out, " ")
}

// SEC-40 to SEC-47, B22 to B27: what a hostile or an odd layer does. The lower layer has etc/passwd, run/ and link->etc.
func TestApplyOdd(t *testing.T) {
	tests := []struct {
		name    string
		entries []string
		want    string // the tree, or
		err     string // a part of the error
	}{
		{"parent name", []string{"f ../x 1"}, "", "leads out"},
		{"parent name inside", []string{"f a/../../x 1"}, "", "leads out"},
		{"parent name after dot", []string{"f ./../x 1"}, "", "leads out"},
		{"two dots", []string{"d .."}, "", "leads out"},
		{"absolute name", []string{"f /x 1"}, "x=1", ""},
		{"many slashes", []string{"f //a///x 1"}, "a/ a/x=1", ""},
		{"inner dots", []string{"f a/../b/./x 1"}, "b/ b/x=1", ""},
		{"root entry", []string{"d ./", "f ./x 1"}, "x=1", ""},
		{"root as a link", []string{"l . /etc"}, "", "root"},
		{"root as a file", []string{"f . x"}, "", "root"},
		{"link to outside, file through it", []string{"l out ../../../../CANARYDIR", "f out/x 1"}, "", "+contained"},
		{"absolute link to outside", []string{"l out CANARYDIR", "f out/x 1"}, "", "+contained"},
		{"link to a file, written", []string{"l out CANARY", "f out 1"}, "out=1", ""},
		{"hard link to outside", []string{"h x ../CANARY"}, "", "leads out"},
		{"hard link through a link", []string{"l d CANARYDIR", "h x d/canary"}, "", "linking to"},
		{"hard link to a link, written", []string{"l a CANARY", "h b a", "f b 1"}, "a->CANARY b=1", ""},
		{"hard link to a link, chmod by dir", []string{"l a CANARYDIR", "d a"}, "a/", ""},
		{"absolute hard link", []string{"f a 1", "h b /a"}, "a=1 b=1", ""},
		{"forward hard link", []string{"h b a", "f a 1"}, "a=1 b=1", ""},
		{"forward hard link, then a link for its parent", []string{"h d/b a", "l d2 CANARYDIR", "f a 1"}, "a=1 d/ d/b=1 d2->CANARYDIR", ""},
		{"hard link to a directory", []string{"d a", "h b a"}, "", "directory"},
		{"hard link to itself", []string{"h a a"}, "", "linking to"},
		{"hard link to itself, there", []string{"f a 1", "h a a"}, "a=1", ""},
		{"hard link to what was removed", []string{"f etc/.wh.passwd", "h x etc/passwd"}, "", "linking to"},
		{"hard link to a lower file", []string{"h x etc/passwd"}, "x=root", ""},
		{"hard link to a lower file through a lower link", []string{"h x link/passwd"}, "x=root", ""},
		{"hard link to nothing", []string{"h x nothing"}, "", "linking to"},
		{"absolute link for a parent", []string{"d run2", "l var/run /run2", "f var/run/pid 1"}, "run2/ run2/pid=1 var/ var/run->/run2", ""},
		{"absolute link for a parent, target is below", []string{"l var/run /run", "f var/run/pid 1"}, "run/ run/pid=1 var/ var/run->/run", ""},
		{"links in a circle", []string{"l a b", "l b a", "f a/x 1"}, "", "loop|too many levels"},
		{"a file for a parent", []string{"f a 1", "f a/b 2"}, "", "not a directory"},
		{"file, directory, link", []string{"f a 1", "d a", "f a/x 2", "l a y"}, "a->y", ""},
		{"directory over a link", []string{"l a b", "d a", "f a/x 1"}, "a/ a/x=1", ""},
		{"directory after its children", []string{"f a/x 1", "d a"}, "a/ a/x=1", ""},
		{"twice", []string{"f a 1", "f a 22"}, "a=22", ""},
		{"fifo", []string{"p a"}, "a", ""},
		{"whiteout", []string{"f etc/.wh.passwd"}, "etc/ w:etc/passwd", ""},
		{"whiteout of a directory", []string{"f .wh.etc"}, "w:etc", ""},
		{"opaque", []string{"d etc", "f etc/.wh..wh..opq", "f etc/x 1"}, "etc/! etc/x=1", ""},
		{"opaque at the end", []string{"f etc/x 1", "f etc/.wh..wh..opq"}, "etc/! etc/x=1", ""},
		{"opaque root", []string{"f .wh..wh..opq"}, "/!", ""},
		{"removed and made again", []string{"f .wh.etc", "d etc", "f etc/x 1"}, "etc/! etc/x=1", ""},
		{"made again, implied", []string{"f .wh.etc", "f etc/x 1"}, "etc/! etc/x=1", ""},
		{"made, then removed", []string{"d etc", "f etc/x 1", "f .wh.etc"}, "etc/! etc/x=1", ""},
		{"file made, then removed", []string{"f etc/passwd 1", "f etc/.wh.passwd"}, "etc/ etc/passwd=1", ""},
		{"whiteout of nothing", []string{"f .wh."}, "", "whiteout"},
		{"whiteout of dot", []string{"f .wh.."}, "", "whiteout"},
		{"whiteout of dots", []string{"f a/.wh..."}, "", "whiteout"},
		{"names of aufs", []string{"f .wh..wh.plnk x", "f .wh..wh.aufs x"}, "", ""},
		{"whiteout through a link", []string{"l d CANARYDIR", "f d/.wh.canary"}, "", "+contained"},
		{"odd names", []string{`f a\sb 1`, "f -rf 1", "f \xff 1", "f new\nline 1"}, "-rf=1 a b=1 new\nline=1 \xff=1", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { applyOdd(t, test.entries, test.want, test.err) })
	}
}

func applyOdd(t *testing.T, entries []string, want, wantErr string) {
	lower := applyTo(t, tarOf(t, "d etc", "f etc/passwd root", "d run", "l link etc"), nil)
	outside := t.TempDir()
	canary := outside + "/canary"
	write(t, canary, "canary")
	before, err := os.Stat(canary)
	check(t, err)
	expand := strings.NewReplacer("CANARYDIR", outside, "CANARY", canary)
	for i := range entries {
		entries[i] = expand.Replace(entries[i])
	}
	sameDescribed(t, tarOf(t, "d etc", "f etc/passwd root", "d run", "l link etc"), tarOf(t, entries...))
	dir := t.TempDir()
	_, err = apply(t.Context(), bytes.NewReader(tarOf(t, entries...)), dir, applyOptions{Lower: rootfs.NewView(lower)})
	switch {
	case wantErr == "+contained":
	case wantErr != "":
		if err == nil || !anyOf(err.Error(), wantErr) || !strings.Contains(err.Error(), "entry") {
			t.Errorf("error %v, want one with %q", err, wantErr)
		}
	case err != nil:
		t.Error(err)
	default:
		if got := plain(t, dir); got != expand.Replace(want) {
			t.Errorf("got  %q\nwant %q", got, expand.Replace(want))
		}
	}
	after, err := os.Stat(canary)
	check(t, err)
	content, _ := os.ReadFile(canary)
	left, _ := os.ReadDir(outside)
	if string(content) != "canary" || len(left) != 1 || before.Mode() != after.Mode() || nlink(t, canary) != 1 {
		t.Errorf("the outside was changed: %q %v %v", content, left, after.Mode())
	}
}

func anyOf(text, wanted string) bool {
	for _, w := range strings.Split(wanted, "|") {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func nlink(t *testing.T, path string) uint64 {
	e, err := rootfs.Lstat(path, path)
	check(t, err)
	return e.Nlink
}

func TestApplyMetadata(t *testing.T) {
	v2 := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	v3 := "\x01\x00\x00\x03" + v2[4:] + "\x00\x00\x00\x00"
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []*tar.Header{
		{Name: "caps2", Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": v2}},
		{Name: "caps3", Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": v3}},
		{Name: "user", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1000, Gid: 100, PAXRecords: map[string]string{
			"SCHILY.xattr.user.note": "hi\x01", "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.trusted.x": "y",
			"SCHILY.xattr.security.selinux": "x"}},
		{Name: "sticky/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 7},
		{Name: "closed/", Typeflag: tar.TypeDir, Mode: 0, Uid: 7},
		{Name: "closed/in", Typeflag: tar.TypeReg, Mode: 0, Uid: 70000},
	} {
		check(t, w.WriteHeader(h))
	}
	check(t, w.Close())
	dir := applyTo(t, buf.Bytes(), nil)
	v := rootfs.NewView(dir)
	for name, want := range map[string]string{"caps2": v2, "caps3": v2} {
		e, err := v.Lstat(name)
		check(t, err)
		x, err := e.Xattrs()
		check(t, err)
		if string(x["security.capability"]) != want {
			t.Errorf("%s: capability %x", name, x["security.capability"])
		}
	}
	want := []string{"closed 40000 7:0 []", "closed/in 100000 70000:0 []", "sticky 41777 7:0 []", "user 104755 1000:100 [user.note]"}
	for _, w := range want {
		name := strings.Fields(w)[0]
		e, err := v.Lstat(name)
		check(t, err)
		x, err := e.Xattrs()
		check(t, err)
		names := []string{}
		for n := range x {
			names = append(names, n)
		}
		if got := fmt.Sprintf("%s %o %d:%d %v", name, e.Mode, e.UID, e.GID, names); got != w {
			t.Errorf("got %s, want %s", got, w)
		}
	}
	if rootfs.IsOpaque(dir + "/user") {
		t.Error("an attribute of overlayfs was imported")
	}
}

func TestApplyImplied(t *testing.T) {
	lower := applyTo(t, tarOf(t, "d a", "d a/b"), nil)
	check(t, rootfs.Owner{UID: 5, GID: 6}.GivePath(lower+"/a/b"))
	check(t, os.Chmod(lower+"/a/b", 0o700))
	dir := applyTo(t, tarOf(t, "f a/b/c/f 1"), rootfs.NewView(lower))
	e, err := rootfs.Lstat(dir+"/a/b", "/a/b")
	check(t, err)
	if e.UID != 5 || e.GID != 6 || e.Mode&0o7777 != 0o700 || e.ModTime.Unix() != 1000 {
		t.Errorf("implied directory: %+v", e)
	}
}

func TestApplyDevice(t *testing.T) {
	var notes []string
	_, err := apply(t.Context(), bytes.NewReader(tarOf(t, "c dev/null", "c dev/zero", "f x 1")), t.TempDir(),
		applyOptions{Notice: func(s string) { notes = append(notes, s) }})
	check(t, err)
	if len(notes) > 1 {
		t.Errorf("notices: %q", notes)
	}
}

func TestApplyBroken(t *testing.T) {
	good := tarOf(t, "d a", "f a/f "+strings.Repeat("x", 5000))
	huge := append([]byte(nil), good...)
	copy(huge[512+124:], "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	tests := map[string]struct {
		data []byte
		max  int64
		want string
	}{
		"cut":          {good[:3000], 0, "unexpected EOF"},
		"bad checksum": {append(bytes.Repeat([]byte{7}, 512), good...), 0, "invalid tar header"},
		"negative":     {huge, 0, "invalid tar header"},
		"too large":    {good, 4000, "more than the limit"},
		"bad owner":    {ownedBy(t, 1<<32-1), 0, "no such ids"},
	}
	for name, test := range tests {
		_, err := apply(t.Context(), bytes.NewReader(test.data), t.TempDir(), applyOptions{MaxBytes: test.max})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	trailing := append(append([]byte(nil), good...), "garbage"...)
	got, err := apply(t.Context(), bytes.NewReader(trailing), t.TempDir(), applyOptions{})
	check(t, err)
	want, _, err := v1.SHA256(bytes.NewReader(trailing))
	if err != nil || got != want {
		t.Errorf("what follows the tar is not hashed: %v %v", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := apply(ctx, bytes.NewReader(good), t.TempDir(), applyOptions{}); err == nil {
		t.Error("a cancelled context is ignored")
	}
}

func ownedBy(t *testing.T, id int) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	check(t, w.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Uid: id}))
	check(t, w.Close())
	return buf.Bytes()
}

func TestApplySparse(t *testing.T) {
	data := tarOf(t, "f zeros "+strings.Repeat("\x00", 8<<20), "f tail "+strings.Repeat("\x00", 1<<20)+"x")
	dir := applyTo(t, data, nil)
	var st unix.Stat_t
	check(t, unix.Stat(dir+"/zeros", &st))
	if st.Size != 8<<20 || st.Blocks > 64 {
		t.Errorf("size %d, blocks %d", st.Size, st.Blocks)
	}
	if got, _ := os.ReadFile(dir + "/tail"); len(got) != 1<<20+1 || got[1<<20] != 'x' {
		t.Errorf("tail has %d bytes", len(got))
	}
}

func FuzzApply(f *testing.F) {
	f.Add(tarOf(f, "d a", "f a/b 1", "l c a", "h d a/b", "f a/.wh.x", "f a/.wh..wh..opq", "f c/x y"))
	f.Add(tarOf(f, "l a ../../..", "f a/b 1", "h x ../y", "p fifo", "c dev"))
	f.Add(tarOf(f, "f .wh.a", "d a", "l a/b /a", "f a/b/c 2", "d a/b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		dir := parent + "/in"
		check(t, os.Mkdir(dir, 0o755))
		write(t, parent+"/canary", "canary")
		diffID, err := apply(t.Context(), bytes.NewReader(data), dir, applyOptions{MaxBytes: 1 << 20})
		if want, _, _ := v1.SHA256(bytes.NewReader(data)); err == nil && diffID != want {
			t.Errorf("DiffID %s, want %s", diffID, want)
		}
		left, _ := os.ReadDir(parent)
		if content, _ := os.ReadFile(parent + "/canary"); string(content) != "canary" || len(left) != 2 {
			t.Errorf("the outside was changed: %q %v", content, left)
		}
	})
}
