package outfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

var errBroken = errors.New("broken")

// say writes "new".
func say(w io.Writer) error {
	_, err := io.WriteString(w, "new")
	return err
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedWriteLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	must(t, os.WriteFile(old, []byte("old"), 0o604))
	for _, path := range []string{old, filepath.Join(dir, "new")} {
		err := Write(context.Background(), path, func(w io.Writer) error { return errors.Join(say(w), errBroken) })
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", path, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 || read(t, old) != "old" {
		t.Errorf("left: %v", entries)
	}
}

func TestLinksStayAndOtherNamesKeepTheirBytes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("d"), 0o755), os.WriteFile(at("d/old"), []byte("old"), 0o604), os.Link(at("d/old"), at("other")),
		os.Symlink("d/old", at("link")), os.Symlink("link", at("chain")), os.Symlink(at("made"), at("dangling")), os.Symlink("loop", at("loop")))
	must(t, Write(context.Background(), at("chain"), say), Write(context.Background(), at("dangling"), say))
	if read(t, at("d/old")) != "new" || read(t, at("other")) != "old" || read(t, at("made")) != "new" {
		t.Errorf("%q %q %q", read(t, at("d/old")), read(t, at("other")), read(t, at("made")))
	}
	if link, err := os.Readlink(at("chain")); link != "link" {
		t.Errorf("the link is %q %v", link, err)
	}
	if info, err := os.Stat(at("d/old")); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("%v %v", info, err)
	}
	if err := Write(context.Background(), at("loop"), say); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("loop: %v", err)
	}
}

func TestAPlaceWhereNothingCanBeMadeBeside(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may make files everywhere")
	}
	dir := t.TempDir()
	file, linked := filepath.Join(dir, "file"), filepath.Join(dir, "linked")
	must(t, os.WriteFile(file, []byte("longer"), 0o600), os.WriteFile(linked, []byte("old"), 0o600), os.Link(linked, filepath.Join(t.TempDir(), "other")),
		os.Chmod(dir, 0o555))
	defer os.Chmod(dir, 0o755)
	if err := Write(context.Background(), file, say); err != nil || read(t, file) != "new" {
		t.Errorf("%v", err)
	}
	if err := Write(context.Background(), linked, say); err == nil || read(t, linked) != "old" {
		t.Errorf("a file with another name was written to: %v", err)
	}
}

func TestDescriptorsAreWrittenToWhereTheyStand(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("before ")
	must(t, err)
	path := filepath.Join("/dev/fd", strconv.Itoa(int(f.Fd())))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(path, link))
	must(t, Write(context.Background(), path, say), WriteText(context.Background(), link, " and again"))
	if got := read(t, f.Name()); got != "before new and again" {
		t.Errorf("%q", got)
	}
	for path, want := range map[string]bool{"/dev/stdout": true, "/proc/self/fd/7": true, "/proc/thread-self/fd/7": true, link: true, "/proc/1/fd/1": false, f.Name(): false, "/dev/null": false} {
		if _, ok := Descriptor(path); ok != want {
			t.Errorf("%s: %t", path, ok)
		}
	}
}

func TestASocketIsWrittenTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(c)
		got <- text
	}()
	must(t, Write(context.Background(), path, say))
	if text := <-got; !bytes.Equal(text, []byte("new")) {
		t.Errorf("%q", text)
	}
}

func TestAPipeThatNobodyReadsEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(path, 0o600))
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errBroken)
	defer cancel()
	if err := Write(ctx, path, say); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}
