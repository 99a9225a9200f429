package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
)

// kindsTar is a layer with all that an image can have: owners of files of every type, setuid, setgid and sticky, capabilities, hard
// links and devices.
func kindsTar(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(kind byte, name string, mode int64, uid, gid int, rest string) {
		h := &tar.Header{Typeflag: kind, Name: name, Mode: mode, Uid: uid, Gid: gid, ModTime: time.Unix(1000, 0)}
		switch kind {
		case tar.TypeReg:
			h.Size = int64(len(rest))
		case tar.TypeChar, tar.TypeBlock:
			h.Devmajor, h.Devminor = 1, 3
		default:
			h.Linkname = rest
		}
		if strings.HasPrefix(name, "bin/cap") {
			rootfs.SetXattrs(h, map[string][]byte{"security.capability": {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}})
		}
		if name == "home/noted" {
			rootfs.SetXattrs(h, map[string][]byte{"user.note": []byte("n")})
		}
		check(t, w.WriteHeader(h))
		if kind == tar.TypeReg {
			_, err := w.Write([]byte(rest))
			check(t, err)
		}
	}
	add(tar.TypeDir, "bin/", 0o755, 0, 0, "")
	add(tar.TypeReg, "bin/cap", 0o755, 0, 0, "ping")
	add(tar.TypeReg, "bin/capowned", 0o750, 0, 33, "dumpcap")
	add(tar.TypeReg, "bin/groups", 0o2755, 0, 101, "ssh-agent")
	add(tar.TypeReg, "bin/su", 0o4755, 0, 0, "su")
	add(tar.TypeReg, "bin/users", 0o4750, 33, 101, "crontab")
	add(tar.TypeDir, "dev/", 0o755, 0, 0, "")
	add(tar.TypeBlock, "dev/disk", 0o660, 0, 6, "")
	add(tar.TypeChar, "dev/null", 0o666, 0, 0, "")
	add(tar.TypeChar, "dev/owned", 0o620, 1000, 5, "")
	add(tar.TypeDir, "etc/", 0o755, 0, 0, "")
	add(tar.TypeReg, "etc/secret", 0, 0, 42, "s")
	add(tar.TypeReg, "etc/shadow", 0o640, 0, 42, "root")
	add(tar.TypeDir, "home/", 0o2775, 1000, 50, "")
	add(tar.TypeReg, "home/empty", 0o600, 1000, 1000, "")
	add(tar.TypeReg, "home/first", 0o644, 1000, 1000, "1")
	add(tar.TypeLink, "home/hard", 0o644, 1000, 1000, "home/first")
	add(tar.TypeSymlink, "home/link", 0o777, 1000, 1000, "first")
	add(tar.TypeReg, "home/noted", 0o444, 1000, 1000, "n")
	add(tar.TypeFifo, "home/pipe", 0o640, 1000, 7, "")
	add(tar.TypeSymlink, "home/roots", 0o777, 0, 0, "/etc")
	add(tar.TypeReg, "nobody", 0o644, 65534, 65534, "n")
	add(tar.TypeDir, "tmp/", 0o1777, 0, 0, "")
	check(t, w.Close())
	return buf.Bytes()
}

// kinds is what tests have processes of either kind do with a store.
var kindTasks = map[string]func(context.Context, *Store) error{"layer": kindsLayer, "use": kindsUse, "prune": kindsPrune}

// kindsChild is such a process.
func kindsChild(what, dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	if want := os.Getenv("GBUILD_TEST_MARKED") != ""; rootfs.Marked() != want {
		return fmt.Errorf("owners are marks: %v", !want)
	}
	return errors.Join(kindTasks[what](context.Background(), s), s.Close())
}

// kindsLayer unpacks the layer into a new store, copies a directory up over it, and writes the layer that comes out of it, and
// the index, beside the store.
func kindsLayer(ctx context.Context, s *Store) error {
	dir := filepath.Dir(s.Dir())
	d, err := s.Draft(ctx, Key{})
	if err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(dir, "layer.tar"))
	if err != nil {
		return err
	}
	defer in.Close()
	a, err := rootfs.NewApplier(d.Dir(), 1<<30, func(text string) { fmt.Println("notice:", text) })
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := a.Layer(ctx, in); err != nil {
		return err
	}
	if err := a.Finish(rootfs.NewView()); err != nil {
		return err
	}
	if err := os.Chtimes(d.Dir(), time.Unix(1000, 0), time.Unix(1000, 0)); err != nil {
		return err
	}
	k := keyOf("state")
	if err := d.Commit(ctx, k); err != nil {
		return err
	}
	all, _, err := s.Layers(ctx, k, LayerOptions{})
	if err != nil {
		return err
	}
	index, err := s.MakeIndex(ctx, k, all, true)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := rootfs.WriteDiff(ctx, &out, []string{s.disk.snapshot(k, "fs")}, rootfs.DiffOptions{Lower: rootfs.NewView()}); err != nil {
		return err
	}
	if out.Len() == 0 {
		return fmt.Errorf("nothing came out")
	}
	// A directory that is copied up is the same as below: nothing of it is in the layer.
	above, err := s.Draft(ctx, k)
	if err != nil {
		return err
	}
	defer above.Discard()
	for _, name := range []string{"/home", "/etc", "/tmp"} {
		if err := above.CopyUp(name); err != nil {
			return err
		}
	}
	var same bytes.Buffer
	if err := rootfs.WriteDiff(ctx, &same, []string{above.Dir()}, rootfs.DiffOptions{Lower: above.Lower()}); err != nil {
		return err
	}
	if same.Len() != 1024 {
		return fmt.Errorf("what was copied up is another directory: %q", same.Bytes())
	}
	for _, way := range []snapshotter.Way{snapshotter.Overlay, snapshotter.Copied} {
		s.way = func() (snapshotter.Way, error) { return way, nil }
		if err := kindsCopiedUp(ctx, s, k); err != nil {
			return fmt.Errorf("%v: %w", way, err)
		}
	}
	for name, data := range map[string][]byte{"diff": out.Bytes(), "index": index} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kindsCopiedUp has a draft copy everything up, and renames and links it: whose it is, and which devices there are, must stay.
func kindsCopiedUp(ctx context.Context, s *Store, k Key) error {
	d, err := s.Draft(ctx, k)
	if err != nil {
		return err
	}
	defer d.Discard()
	root, err := d.Mount(ctx)
	if err != nil {
		return err
	}
	want := map[string]*rootfs.Entry{}
	err = d.Lower().Walk("/", func(e *rootfs.Entry) error {
		if e.IsDir() {
			if e.Path != "/" && e.Path != "/tmp" {
				want[e.Path] = e
			}
			return os.Chmod(root+e.Path, 0o700)
		}
		at := []unix.Timespec{{Sec: 2000}, {Sec: 2000}}
		err := unix.UtimesNanoAt(unix.AT_FDCWD, root+e.Path, at, unix.AT_SYMLINK_NOFOLLOW)
		moved := path.Join("/tmp", strings.ReplaceAll(e.Path, "/", "_"))
		want[moved], want[moved+".link"] = e, e
		return errors.Join(err, os.Rename(root+e.Path, root+moved), os.Link(root+moved, root+moved+".link"))
	})
	if err = errors.Join(err, d.Unmount()); err != nil {
		return err
	}
	if len(want) == 0 {
		return errors.New("nothing was copied up")
	}
	for name, e := range want {
		got, err := rootfs.Lstat(d.Dir()+name, name)
		if err != nil {
			return err
		}
		if got.IsDir() {
			got.Mode, got.Size = e.Mode, e.Size
		}
		if got.Mode != e.Mode || got.Rdev != e.Rdev || got.Owner() != e.Owner() || got.Size != e.Size || got.Link != e.Link {
			return fmt.Errorf("%s was copied up to %+v", e.Path, got)
		}
	}
	return nil
}

// kindsRun has a process do it as root of a user namespace of that many ids, which begin with uid.
func kindsRun(t *testing.T, what, dir string, uid, ids int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "kinds", what, dir)
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: ids}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: maps, GidMappings: maps}
	if uid != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}
	}
	cmd.Env = os.Environ()
	if ids == 1 {
		cmd.Env = append(cmd.Env, "GBUILD_TEST_MARKED=1")
	}
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestBothKindsAreOneFormat holds that the layer, and the index, of the same files are the same bytes, whether the owners are real or
// marks, and that what comes out of a store is what went in.
func TestBothKindsAreOneFormat(t *testing.T) {
	data := kindsTar(t)
	results := map[string][]byte{}
	try := func(name string, uid, ids int) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, os.WriteFile(filepath.Join(dir, "layer.tar"), data, 0o644))
			check(t, os.Chown(dir, uid, uid))
			for at := dir; at != "/"; at = filepath.Dir(at) {
				if info, err := os.Stat(at); err == nil && info.Mode()&1 == 0 {
					os.Chmod(at, info.Mode()|0o1)
				}
			}
			kindsRun(t, "layer", filepath.Join(dir, "store"), uid, ids)
			for _, what := range []string{"diff", "index"} {
				got, err := os.ReadFile(filepath.Join(dir, what))
				check(t, err)
				if want, ok := results[what]; ok && !bytes.Equal(got, want) {
					t.Errorf("another %s: %q, want %q", what, got, want)
				}
				results[what] = got
			}
			sameLines(t, name, headers(t, results["diff"]), headers(t, data))
		})
	}
	try("one id", os.Geteuid(), 1)
	if idRange() > 1 {
		try("all ids", 0, idRange())
		try("one id of an ordinary user", 4321, 1)
	}
}

// headers describes the entries of a tar.
func headers(t testing.TB, data []byte) (all []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err != nil {
			return all
		}
		all = append(all, fmt.Sprintf("%s %c %o %d:%d %d %q %d/%d %q", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Size, h.Linkname, h.Devmajor, h.Devminor, h.PAXRecords))
	}
}

// TestKindsAreApart holds that a state of one kind is none of the other, while their layers are shared: a store that was used
// with all ids is used with one, and pruned with one and with all.
func TestKindsAreApart(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir)
	check(t, err)
	k, err := s.Unpack(t.Context(), []v1.Layer{layerOf(t, kindsTar(t), codec.Compression{})}, nil)
	check(t, err)
	want := lines(t, mustView(t, s, k))
	check(t, s.Close())
	for range 2 {
		kindsRun(t, "use", dir, 0, 1)
		kindsRun(t, "prune", dir, 0, 1)
	}
	if !s.Has(k) {
		t.Fatal("a process with one id has pruned files of others")
	}
	sameLines(t, "after the other kind", lines(t, mustView(t, s, k)), want)
	check(t, s.Close())
	kindsRun(t, "use", dir, 0, 1)
	r, err := s.Prune(t.Context(), 0)
	if err != nil || r.Snapshots != 2 {
		t.Errorf("pruned %+v, %v; want the snapshots of both kinds", r, err)
	}
	for _, is := range []kind{real, marked} {
		if left := append(namesIn(t, s.disk.of(is, "snapshots")), namesIn(t, s.disk.of(is, "trash"))...); len(left) > 0 {
			t.Errorf("left of kind %q: %q", is, left)
		}
	}
}

func mustView(t testing.TB, s *Store, k Key) *rootfs.View {
	t.Helper()
	v, err := s.View(k)
	check(t, err)
	return v
}

// kindsUse unpacks a state of which another kind is in the store, from the layer that is there.
func kindsUse(ctx context.Context, s *Store) error {
	found, _ := os.ReadDir(s.disk.of(real, "snapshots"))
	if len(found) != 1 {
		return fmt.Errorf("%d real snapshots", len(found))
	}
	var k Key
	if err := k.UnmarshalText([]byte(found[0].Name())); err != nil {
		return err
	}
	if s.Has(k) || s.Unpacked(k) {
		return errors.New("a state with real owners is there for who has marks")
	}
	all, ok := s.StoredLayers(k, LayerOptions{})
	if !ok {
		return errors.New("the layer is not shared")
	}
	if _, err := s.Unpack(ctx, all, nil); err != nil {
		return err
	}
	if !s.Has(k) {
		return errors.New("the state is not there")
	}
	v, err := s.View(k)
	if err != nil {
		return err
	}
	e, err := v.Lstat("/etc/shadow")
	if err == nil && e.GID != 42 {
		err = fmt.Errorf("the group is %d", e.GID)
	}
	return err
}

// kindsPrune removes the one snapshot of this kind, while the layer is used, and so stays.
func kindsPrune(ctx context.Context, s *Store) error {
	all, err := os.ReadDir(s.disk.path("blobs", "sha256"))
	if err != nil || len(all) != 1 {
		return fmt.Errorf("%d blobs, %w", len(all), err)
	}
	used, _, err := s.Blob(v1.Hash{Algorithm: "sha256", Hex: all[0].Name()})
	if err != nil {
		return err
	}
	defer used.Close()
	r, err := s.Prune(ctx, 0)
	if err == nil && r.Snapshots != 1 {
		err = fmt.Errorf("pruned %+v", r)
	}
	return err
}
