package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// A volume begins with what the image has in its place, keeps what is written, and stays while somebody uses it.
func TestVolumes(t *testing.T) {
	ctx := context.Background()
	v, private := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}, t.TempDir()
	copies := 0
	copyOut := func(target, dir string) error {
		copies++
		switch target {
		case "/missing":
			return fs.ErrNotExist
		case "/broken":
			return errors.New("it cannot be read")
		}
		return os.WriteFile(filepath.Join(dir, "file"), []byte("of "+target), 0o600)
	}
	bind := func(mounts ...runtime.Mount) ([]runtime.Mount, func() error, error) {
		release, err := v.Bind(ctx, mounts, private, copyOut)
		return mounts, release, err
	}
	if _, release, err := bind(runtime.Mount{Type: "bind", Source: "/a"}, runtime.Mount{Type: "tmpfs"}); err != nil || release() != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(v.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory of volumes was made for none")
	}

	mounts, release, err := bind(runtime.Mount{Type: VolumeMount, Source: "data", Target: "/work", ReadOnly: true},
		runtime.Mount{Type: EmptyVolumeMount, Source: "empty", Target: "/work"}, runtime.Mount{Type: VolumeMount, Source: "new", Target: "/missing"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"of /work", "", ""} {
		text, _ := os.ReadFile(filepath.Join(mounts[i].Source, "file"))
		if m := mounts[i]; m.Type != "bind" || string(text) != want || m.ReadOnly != (i == 0) {
			t.Errorf("%+v: %q, want %q", m, text, want)
		}
	}
	found, err := v.Find("data", "empty", "new")
	if err != nil || len(found) != 3 {
		t.Fatal(found, err)
	}
	if err := v.Remove(ctx, found[0], nobody(t)); err == nil || !strings.Contains(err.Error(), "volume data is in use") || hint.Of(err) == "" {
		t.Errorf("one that is used was removed: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(filepath.Join(mounts[0].Source, "file"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, release, err := bind(runtime.Mount{Type: VolumeMount, Source: "data", Target: "/elsewhere"})
	if err != nil || again[0].Source != mounts[0].Source || copies != 2 {
		t.Errorf("%+v, %v; %d copies", again, err, copies)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := v.Remove(ctx, found[0], nobody(t)); err != nil {
		t.Error(err)
	}
	if _, err := v.Find("data"); err == nil {
		t.Error("it stays")
	}
	if _, err := v.Find("emp"); err == nil {
		t.Error("the start of a name was taken for one")
	}
}

// After an error nothing stays leased once release was called.
func TestVolumesAfterAnError(t *testing.T) {
	ctx := context.Background()
	v := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}
	release, err := v.Bind(ctx, []runtime.Mount{{Type: VolumeMount, Source: "data", Target: "/work"}, {Type: VolumeMount, Source: "other", Target: "/broken"}}, t.TempDir(),
		func(target, _ string) error {
			if target == "/broken" {
				return errors.New("it cannot be read")
			}
			return nil
		})
	if err == nil || !strings.Contains(err.Error(), "volume other: ") {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	list, err := v.List()
	if err != nil || len(list) != 1 || list[0].ID != "data" {
		t.Fatal(list, err)
	}
	if err := v.Remove(ctx, list[0], nobody(t)); err != nil {
		t.Error(err)
	}
}

// A volume whose files belong to ids that this process does not have, or only by marks that mean nothing here, is not taken for an
// empty one.
func TestVolumeOfAnotherKind(t *testing.T) {
	v := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}
	caches, err := pipcache.Open(v.Dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := caches.Acquire(t.Context(), "data", pipcache.Shared, pipcache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Dir(l.Dir())
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	other := pipcache.Identity{ID: "data", Marked: !rootfs.Marked()}
	if err := os.Rename(own, filepath.Join(filepath.Dir(own), other.Key())); err != nil {
		t.Fatal(err)
	}
	_, err = v.Bind(t.Context(), []runtime.Mount{{Type: VolumeMount, Source: "data", Target: "/work"}}, t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "volume data") || hint.Of(err) == "" {
		t.Errorf("got %v", err)
	}
}

// A volume without a name begins with what the image has, and lies where its container's own files do.
func TestAnonymousVolumes(t *testing.T) {
	v, private := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}, t.TempDir()
	for _, added := range []string{"", " and more"} { // the second time, what the command wrote is there
		mounts := []runtime.Mount{{Type: VolumeMount, Target: "/work"}, {Type: EmptyVolumeMount, Target: "/empty"}, {Type: VolumeMount, Target: "/missing"}}
		release, err := v.Bind(t.Context(), mounts, private, func(target, dir string) error {
			if target == "/missing" {
				return fs.ErrNotExist
			}
			return os.WriteFile(filepath.Join(dir, "file"), []byte("of "+target), 0o600)
		})
		if err != nil || release() != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"of /work" + added, added, added} {
			file := filepath.Join(mounts[i].Source, "file")
			text, _ := os.ReadFile(file)
			if m := mounts[i]; m.Type != "bind" || string(text) != want || filepath.Dir(m.Source) != private {
				t.Errorf("%+v: %q, want %q", m, text, want)
			}
			if err := os.WriteFile(file, append(text, " and more"...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(v.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory of volumes was made for none that has a name")
	}
	if _, err := v.Bind(t.Context(), []runtime.Mount{{Type: VolumeMount, Target: "/broken"}}, private, func(string, string) error { return errors.New("it cannot be read") }); err == nil {
		t.Error("a volume that could not be filled was taken")
	}
}

// A container that has ended, and can start again, has its volumes still.
func TestVolumeOfKeptContainer(t *testing.T) {
	v := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}
	all := nobody(t)
	mounts := []runtime.Mount{{Type: EmptyVolumeMount, Source: "data", Target: "/work"}}
	release, err := v.Bind(t.Context(), mounts, t.TempDir(), nil)
	if err != nil || release() != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"trainer": "data", "other": "dat"} {
		c, err := all.Create(Record{Name: name, Mounts: []MountPoint{{Type: "bind", Source: "data", Destination: "/b"}, {Type: VolumeMount, Name: source, Destination: "/work"}}})
		if err == nil {
			err = c.lock.Close() // its processes have ended
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := v.Find("data")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Remove(t.Context(), list[0], all); err == nil || err.Error() != "volume data is in use by container trainer" || !strings.Contains(hint.Of(err), "gbuild rm trainer") {
		t.Errorf("got %v", err)
	}
	c, err := all.Find("trainer")
	if err != nil || c.Remove() != nil {
		t.Fatal(err)
	}
	if err := v.Remove(t.Context(), list[0], all); err != nil {
		t.Error(err)
	}
}

// nobody is a registry without containers.
func nobody(t *testing.T) *Registry {
	t.Helper()
	all, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return all
}
