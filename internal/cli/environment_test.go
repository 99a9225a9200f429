package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gbuild/gbuild/internal/hint"
)

func TestUserDir(t *testing.T) {
	home, tmp := t.TempDir(), t.TempDir()
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(tmp, fmt.Sprintf("gbuild-%d", userID()))
	dir := func(vars map[string]string) (string, bool, error) {
		environ := Environment(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		return environ.userDir("XDG_DATA_HOME", ".local/share", "state")
	}
	for _, c := range []struct {
		vars    map[string]string
		want    string
		instead bool
	}{
		{map[string]string{"XDG_DATA_HOME": "/data", "TMPDIR": tmp}, "/data/gbuild", false},
		{map[string]string{"HOME": home, "TMPDIR": tmp}, home + "/.local/share/gbuild", false},
		{map[string]string{"HOME": file, "TMPDIR": tmp}, own + "/state", true},
		{map[string]string{"TMPDIR": tmp}, own + "/state", true},
	} {
		if got, instead, err := dir(c.vars); got != c.want || instead != c.instead || err != nil {
			t.Errorf("%v: %s, %v, %v", c.vars, got, instead, err)
		}
	}
	// Others can make one of that name first.
	for _, spoil := range []func() error{
		func() error { return os.Chmod(own, 0o777) },
		func() error { return errors.Join(os.Remove(own), os.Symlink(home, own)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := dir(map[string]string{"TMPDIR": tmp}); err == nil || !hint.OfHost(err) {
			t.Errorf("%v", err)
		}
	}
}
