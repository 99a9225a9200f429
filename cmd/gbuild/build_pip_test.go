package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// TestTenBuildsShareThePipCache builds ten images of one trust scope at once, so with one cache of pip, and kills one of the builds while it
// downloads. The others must be right, and so must what the cache gives afterwards.
func TestTenBuildsShareThePipCache(t *testing.T) {
	base := pythonLayout()
	if base == "" {
		t.Skip("no base with Python can be had: GBUILD_TEST_CACHE names no directory, or mmdebstrap fails")
	}
	if kind := host.Probe().Isolation(); !kind.CanRun() {
		t.Skip("needs user namespaces with subordinate ids and overlay; here:", kind)
	}
	var wheels []testimage.Wheel
	for _, name := range []string{"alpha", "beta", "gamma"} {
		for v := range 4 {
			version := fmt.Sprintf("%d.0", v)
			wheels = append(wheels, testimage.Wheel{Name: name, Version: version, Files: map[string]string{
				name + ".py": fmt.Sprintf("version = %q\n", version) + strings.Repeat("# "+name+version+"\n", 5000)}})
		}
	}
	index, err := testimage.NewIndex(wheels...)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/files/") {
			asked <- struct{}{}
			time.Sleep(20 * time.Millisecond)
		}
		index.ServeHTTP(w, r)
	}))
	defer server.Close()
	root, caches := t.TempDir(), t.TempDir()
	t.Cleanup(func() { removeTree(root); removeTree(caches) })
	build := func(n int) *exec.Cmd {
		return pipBuild(t, n, base, root, caches, server.URL)
	}
	if out, err := build(0).CombinedOutput(); err != nil { // unpacks the base
		t.Fatalf("%v\n%s", err, out)
	}
	doomed := build(100)
	doomed.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var all sync.WaitGroup
	for len(asked) > 0 {
		<-asked
	}
	if err := doomed.Start(); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 10; n++ {
		all.Go(func() {
			if out, err := build(n).CombinedOutput(); err != nil {
				t.Errorf("build %d: %v\n%s", n, err, out)
			}
		})
	}
	<-asked
	_ = syscall.Kill(-doomed.Process.Pid, syscall.SIGKILL)
	_ = doomed.Wait()
	all.Wait()
	index.Log()
	for n := 200; n < 204; n++ { // all versions are there now
		if out, err := build(n).CombinedOutput(); err != nil {
			t.Errorf("build %d: %v\n%s", n, err, out)
		} else if !bytes.Contains(out, []byte("3 packages used from it")) {
			t.Errorf("build %d does not say what the cache did:\n%s", n, out)
		}
	}
	if got := testimage.Wheels(index.Log()); len(got) > 0 {
		t.Errorf("fetched again: %v", got)
	}
}

// pipBuild builds an image with the versions that a number asks for, and looks at them there.
func pipBuild(t *testing.T, n int, base, root, caches, index string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	v := n % 4
	text := fmt.Sprintf("FROM base\nENV NUMBER=%d\nRUN pip install --no-cache-dir alpha==%d.0 beta==%d.0 gamma==%d.0\n"+
		"RUN python3 -c 'import alpha, beta, gamma; assert (alpha.version, beta.version, gamma.version) == (\"%d.0\", \"%d.0\", \"%d.0\")'\n",
		n, v, (v+1)%4, v, v, (v+1)%4, v)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return gbuildCommand(t, root, "build", "--cache-dir", caches, "--cache-scope", "ten", "--progress", "plain", "--network", "host", "--build-context", "base=oci-layout://"+base,
		"--mirror", "pip="+index+"/simple/", "-o", "type=cacheonly", dir)
}
