package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/testgpu"
	"github.com/gbuild/gbuild/internal/testimage"
)

// gpuHost is a host with GPUs on which this program is gbuild, with an image, and a state directory of its own.
type gpuHost struct {
	*testgpu.Host
	home, image string
}

func newGPUHost(t *testing.T) *gpuHost {
	t.Helper()
	h := &gpuHost{Host: testgpu.New(t)}
	h.home = filepath.Join(h.Dir, "home")
	h.image = "oci:" + filepath.Join(h.Dir, "image")
	t.Cleanup(func() { removeTree(h.home) })
	shell, err := testimage.Shell()
	if err != nil {
		t.Skip(err)
	}
	// Images that are made for GPUs have the groups whose nodes they are.
	if shell, err = testimage.Append(shell, testimage.File{Name: "etc/group", Body: "root:x:0:\nvideo:x:44:\nrender:x:109:\n"}); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe") // others may not go to where the go command has it
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Mkdir(h.home, 0o755), testimage.WriteLayout(filepath.Join(h.Dir, "image"), shell), os.Mkdir(filepath.Join(h.Dir, "bin"), 0o755), os.WriteFile(filepath.Join(h.Dir, "bin/gbuild"), self, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// script runs a script of sh on the host, in a network of its own, in which every port is free, and with a terminal for its input.
func (h *gpuHost) script(t *testing.T, text string) (output string, err error) {
	t.Helper()
	cmd := h.Command(context.Background(), "unshare", "--net", "sh", "-euc", text)
	cmd.Dir, cmd.Stdin = h.home, newTerminal(t)
	cmd.Env = append(testgpu.Environ(t, h.home), "PATH="+filepath.Join(h.Dir, "bin")+":"+os.Getenv("PATH"), "GBUILD_ROOT="+h.home+"/state", "GBUILD_CACHE_DIR="+h.home+"/caches")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newTerminal opens a terminal, and gives the side that a program has of it.
func newTerminal(t *testing.T) *os.File {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.IoctlRetInt(int(ours.Fd()), unix.TIOCGPTPEER)
	if err != nil {
		t.Skip(err)
	}
	theirs := os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { theirs.Close() })
	return theirs
}

// start runs command lines of gbuild run, in the place of whose images and commands there are ours. Each of them must have a GPU.
func (h *gpuHost) start(t *testing.T, lines []testgpu.Line) {
	t.Helper()
	var script strings.Builder
	for i, l := range lines {
		c := newRunCommand(testApp(nil))
		if err := c.ParseFlags(l.Args); err != nil {
			t.Fatalf("%s: %v", l.Text, err)
		}
		args := append(l.Args[:len(l.Args)-c.Flags().NArg()], h.image, "ls", "/dev")
		args = slices.DeleteFunc(args, func(a string) bool { return a == "-d" || strings.HasPrefix(a, "--entrypoint") || a == "/bin/bash" })
		fmt.Fprintf(&script, "echo line %d\ngbuild run %s\n", i, shellWords(args))
	}
	out, err := h.script(t, script.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, one := range strings.Split(out, "line ")[1:] {
		node := "nvidia-uvm"
		if strings.Contains(lines[i].Text, "/dev/kfd") {
			node = "kfd"
		}
		if !slices.Contains(strings.Fields(one), node) {
			t.Errorf("%s\n\thas no %s: %s", lines[i].Text, node, one)
		}
	}
	t.Logf("%d command lines were started", len(lines))
}

// TestDockerLinesStart starts a command line of each kind.
func TestDockerLinesStart(t *testing.T) {
	h := newGPUHost(t)
	h.start(t, slices.DeleteFunc(testgpu.Lines(t, h.home), func(l testgpu.Line) bool { return !l.Try }))
}

// gpuPages are the names of the pages about programs on GPUs.
func gpuPages(t *testing.T) (names []string) {
	t.Helper()
	pages, err := filepath.Glob("../../docs/gpu/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages about GPUs: %v", err)
	}
	for _, p := range pages {
		names = append(names, filepath.Base(p))
	}
	return names
}

// TestGPUPages starts all command lines of these pages.
func TestGPUPages(t *testing.T) {
	h := newGPUHost(t)
	var text strings.Builder
	for _, b := range docBlocks(t, "sh") {
		if slices.Contains(gpuPages(t), b.page) {
			text.WriteString(b.text)
		}
	}
	h.start(t, testgpu.Words(t, h.home, "gbuild", text.String()))
}

// TestGPUCheck runs scripts/gpu-check.sh, which is for real GPUs: what it cannot check here it skips. An ordinary user is a part of it.
func TestGPUCheck(t *testing.T) {
	python := pythonLayout()
	if os.Getuid() != 0 || python == "" {
		t.Skip("only root can become an ordinary user on the host, and the check needs an image with Python")
	}
	h := newGPUHost(t)
	check, err := filepath.Abs("../../scripts/gpu-check.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.script(t, "VECTOR=1000 GPU_CHECK_RESULT=result bash "+shellWords([]string{check, "gbuild", "oci:" + python}))
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	if err != nil || !regexp.MustCompile(`^PASS [6-9][0-9]  FAIL 0  SKIP [0-6]  in`).MatchString(last) {
		t.Errorf("%v\n%s", err, out)
	}
	if result, err := os.ReadFile(filepath.Join(h.home, "result")); err != nil || !strings.Contains(string(result), last) {
		t.Errorf("the result file ends otherwise: %v", err)
	}
	t.Log(last)
}

// shellWords writes words for a shell.
func shellWords(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(" '" + strings.ReplaceAll(w, "'", `'\''`) + "'")
	}
	return b.String()
}
