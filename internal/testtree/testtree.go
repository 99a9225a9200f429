// Package testtree makes trees, tars and what describes them, for tests of layers.
package testtree

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Check ends the test at an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Write writes a file.
func Write(t testing.TB, path, content string) {
	t.Helper()
	Check(t, os.WriteFile(path, []byte(content), 0o644))
}

// Script runs a shell script in a directory. The test is skipped where a tool is missing.
func Script(t testing.TB, dir, text string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", text)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not found") {
			t.Skipf("a tool is missing: %s", out)
		}
		t.Fatalf("%s: %v: %s", text, err, out)
	}
}

// Lines describes all files of a view: what a layer can carry.
func Lines(t testing.TB, v *rootfs.View) []string {
	t.Helper()
	var out []string
	names := map[string]string{}
	err := v.Walk("/", func(e *rootfs.Entry) error {
		if e.Type() == unix.S_IFSOCK {
			return nil
		}
		line := fmt.Sprintf("%s %07o %d:%d", e.Path, e.Mode, e.UID, e.GID)
		if !e.IsDir() {
			line += fmt.Sprintf(" %d %q %d", e.ModTime.Unix(), e.Link, e.Rdev)
			id := fmt.Sprint(e.Dev, e.Ino)
			if first, ok := names[id]; ok && e.Nlink > 1 {
				line += " = " + first
			} else {
				names[id] = e.Path
			}
		}
		if e.IsRegular() {
			f, err := e.Open()
			if err != nil {
				return err
			}
			defer f.Close()
			data, err := io.ReadAll(f)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		x, err := e.Xattrs()
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			line += fmt.Sprintf(" %s=%x", name, x[name])
		}
		out = append(out, line)
		return nil
	})
	Check(t, err)
	return out
}

// SameLines compares what Lines has returned.
func SameLines(t testing.TB, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Errorf("%s: lacks %s", what, l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			t.Errorf("%s: has   %s", what, l)
		}
	}
	if !t.Failed() {
		t.Errorf("%s: another order: %q, want %q", what, got, want)
	}
}

// Tar makes a tar. An entry is "d name", "f name content", "l name target", "h name target", "p name", "c name";
// a name may be quoted by using \s for a blank.
func Tar(t testing.TB, entries ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		f := append(strings.SplitN(e, " ", 3), "", "")
		h := &tar.Header{Name: strings.ReplaceAll(f[1], `\s`, " "), Mode: 0o644, ModTime: time.Unix(1000, 0)}
		body := ""
		switch f[0] {
		case "d":
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		case "f":
			body = f[2]
			h.Typeflag, h.Size = tar.TypeReg, int64(len(body))
		case "l":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f[2], 0o777
		case "h":
			h.Typeflag, h.Linkname = tar.TypeLink, f[2]
		case "p":
			h.Typeflag = tar.TypeFifo
		case "c":
			h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, 1, 3
		default:
			t.Fatalf("unknown entry %q", e)
		}
		Check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, body)
		Check(t, err)
	}
	Check(t, w.Close())
	return buf.Bytes()
}

// Members lists a tar: type, name, link.
func Members(t testing.TB, data []byte) []string {
	t.Helper()
	var out []string
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		Check(t, err)
		line := h.Name
		if h.Typeflag == tar.TypeLink {
			line += " = " + h.Linkname
		}
		out = append(out, line)
	}
}
