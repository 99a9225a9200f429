package reasons

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// madeByShell returns a state that a script makes.
func madeByShell(t *testing.T, script string) (*layers.Store, layers.Key) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners can only be set by root")
	}
	store, err := layers.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	d, err := store.Draft(t.Context(), layers.Key{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-euc", "umask 022\n"+script)
	cmd.Dir = d.Dir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := d.Commit(t.Context(), layers.Key{1}); err != nil {
		t.Fatal(err)
	}
	return store, layers.Key{1}
}

// TestRunHints holds what is said of a RUN that failed, by the text of the step and the files that it saw.
func TestRunHints(t *testing.T) {
	store, parent := madeByShell(t, `mkdir -p bin app; printf '#!/bin/sh\r\necho\r\n' >app/cr.sh; printf 'set -e\r\n' >app/plain.sh; printf '#!/usr/bin/perl -w\n' >bin/perly
		printf '#!/bin/sh\necho\n' >app/good.sh; printf '#!/bin/sh\n' >bin/sh; ln -s /app/cr.sh bin/linked`)
	long := strings.Repeat("x", 128<<10)
	tests := []struct {
		name, text string
		env        []string
		code       int
		want       string
	}{
		{"a heredoc with CR LF", "set -e\r\necho\r\n", nil, 2, "lines of this RUN end in CR LF"},
		{"a script by its path", "cd /app && /app/cr.sh", nil, 127, "the lines of /app/cr.sh end in CR LF"},
		{"a script from WORKDIR", "./cr.sh", nil, 127, "the lines of /app/cr.sh end in CR LF"},
		{"a script for a shell", "sh plain.sh", nil, 2, "the lines of /app/plain.sh end in CR LF"},
		{"a link in PATH", "linked", []string{"PATH=/bin"}, 127, "the lines of /bin/linked end in CR LF"},
		{"an interpreter that is not there", "perly", []string{"PATH=/bin"}, 127, "names /usr/bin/perl, which is not in the image"},
		{"a good script", "./good.sh && none", nil, 127, "127 means"},
		{"a word that is too long", "echo " + long, nil, 255, "128 KiB"},
		{"a variable that is too long", "echo", []string{"A=" + long}, 255, "128 KiB"},
		{"nothing to see", "false", nil, 1, "the steps before this one are stored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := store.Draft(t.Context(), parent)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Discard()
			s := &dockerfile.Run{Args: []string{"/bin/sh", "-c", tt.text}, Dir: "/app", Env: tt.env}
			var failed *RunError
			if err := OfExit(d.View, s, &runtime.ExitError{Code: tt.code}, d.Dir(), &toolcache.Output{}); !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if hint := failed.Hint(); !strings.Contains(hint, tt.want) {
				t.Errorf("got %q, want %q in it", hint, tt.want)
			}
		})
	}
}

// TestDeviceNodeHint holds that a device node which was refused is recognised, in the words of whatever wanted to make it.
func TestDeviceNodeHint(t *testing.T) {
	for line, want := range map[string]bool{
		"mknod: /dev/x: Operation not permitted":                                 true,
		"mknod: /srv/dev/null: Operation not permitted":                          true,
		"/bin/mknod: '/x': Operation not permitted":                              true,
		"cp: cannot create special file '/x/null': Operation not permitted":      true,
		"tar: dev/null: Cannot mknod: Operation not permitted":                   true,
		"cpio: dev/null: Cannot mknod: Operation not permitted":                  true,
		`rsync: [generator] mknod "/x/null" failed: Operation not permitted (1)`: true,
		" error creating device './dev/x': Operation not permitted":              true,
		"chown: changing ownership of '/x': Operation not permitted":             false,
		"mknod: /dev/x: File exists":                                             false,
		"mount: /x: permission denied.":                                          false,
	} {
		l := &toolcache.Output{}
		l.Write([]byte(line+"\n"), true)
		if l.NoNode != want {
			t.Errorf("%q: %v", line, l.NoNode)
		}
		if !want {
			continue
		}
		var failed *RunError
		if err := OfExit(nil, &dockerfile.Run{}, &runtime.ExitError{Code: 1}, "/", l); !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "--device") {
			t.Error(err)
		}
	}
}
