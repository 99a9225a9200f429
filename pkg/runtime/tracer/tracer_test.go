package tracer

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Start()
	os.Exit(m.Run())
}

// command is a shell script on the files of this host.
func command(t *testing.T, script string) (*Command, *bytes.Buffer) {
	t.Helper()
	if _, err := exec.LookPath("proot"); err != nil {
		t.Skip("proot is not installed")
	}
	out := &bytes.Buffer{}
	return &Command{Program: "/proc/self/exe", Root: "/", Dir: "/", Args: []string{"/bin/sh", "-c", script}, Env: os.Environ(), Stdout: out, Stderr: out}, out
}

func TestEachCallSeesWhatIsShown(t *testing.T) {
	c, out := command(t, "cat /etc/passwd; stat -c %s /etc/passwd; ls -l /etc/passwd; test -r /etc/passwd && id -u")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("shown\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "link")
	if isDir, err := Prepare(source, file, nil); err != nil || isDir {
		t.Fatal(isDir, err)
	}
	c.Binds = []Bind{{Source: source, Target: "/etc/passwd"}}
	if _, err := c.Run(t.Context(), time.Second); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || lines[0] != "shown" || lines[1] != "6" || strings.Fields(lines[2])[4] != "6" || lines[3] != "0" {
		t.Errorf("%q", lines)
	}
}

func TestNothingOfACommandIsLeft(t *testing.T) {
	for name, script := range map[string]string{
		"after its end":                     "sleep 87.65 & setsid sleep 87.65 & exit 3",
		"of one that ends at once":          "(setsid sleep 87.65 &); exit 3",
		"of what does not hear the signals": "(trap '' TERM HUP; sleep 87.65) & exit 3",
	} {
		t.Run(name, func(t *testing.T) {
			c, out := command(t, script)
			state, err := c.Run(t.Context(), time.Second)
			if state == nil || state.ExitCode() != 3 {
				t.Errorf("%v, %v: %s", state, err, out)
			}
			nobodySleeps(t)
		})
	}
	t.Run("when it is cancelled", func(t *testing.T) {
		c, _ := command(t, "trap '' TERM; sleep 87.65 & wait")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := c.Run(ctx, 100*time.Millisecond); err == nil {
			t.Error("it has ended well")
		}
		nobodySleeps(t)
	})
}

func nobodySleeps(t *testing.T) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), "sleep\x0087.65") {
			t.Errorf("%s is left", name)
		}
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o755, "bad": 0o644} {
		if err := os.WriteFile(filepath.Join(root, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	open := func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(root, name)) }
	for name, want := range map[string]int{"/good": 0, "good": 0, "bad": 126, "/bad": 126, "nosuch": 127} {
		if code, err := Find(open, name, []string{"PATH=/nosuch:/"}); code != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
}
