package build

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// pythonBench builds for real: a Debian root with pip, sandboxes, and an index of wheels on loopback with its log.
type pythonBench struct {
	*bench
	*testimage.Index
	url    string
	events []Event
}

func newPythonBench(t *testing.T) *pythonBench {
	t.Helper()
	img := pythonImage(t)
	p := &pythonBench{bench: newBench(t)}
	var wheels []testimage.Wheel
	for i := range 6 {
		name := fmt.Sprintf("part%d", i)
		for _, version := range []string{"1.0", "2.0"} {
			wheels = append(wheels, testimage.Wheel{Name: name, Version: version, Files: map[string]string{name + ".py": "version = " + version + "\n" + strings.Repeat("#\n", 2000)}})
		}
	}
	var err error
	if p.Index, err = testimage.NewIndex(wheels...); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.Index)
	t.Cleanup(server.Close)
	p.url = server.URL + "/simple/"
	p.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return img, nil }
	p.Exec = func(ctx context.Context, s *runtime.Sandbox) error { return s.Run(ctx) }
	p.Report = func(e Event) { p.events = append(p.events, e) }
	return p
}

// pythonImage is made by mmdebstrap once and kept for other tests.
func pythonImage(t *testing.T) v1.Image {
	t.Helper()
	dir := os.Getenv("GBUILD_TEST_CACHE")
	if dir == "" {
		t.Skip("GBUILD_TEST_CACHE does not name a directory for the Python base")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip(err)
	}
	if kind := host.Probe().Isolation(); !kind.CanRun() {
		t.Skip("needs user namespaces with subordinate ids and overlay; here:", kind)
	}
	img, err := testimage.Python(t.Context(), dir)
	if err != nil {
		t.Skip(err) // the directory may be another user's
	}
	return img
}

// TestPipCache runs pip in real sandboxes, in one store: the base is unpacked once.
func TestPipCache(t *testing.T) {
	p := newPythonBench(t)
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"second build fetches what changed", p.testSecondBuildFetchesWhatChanged},
		{"each user has a cache", p.testEachUserHasACache},
		{"Dockerfiles with a cache are left alone", p.testDockerfilesWithACacheAreLeftAlone},
		{"directory of pip", p.testPipDir},
		{"built wheels fit their base", p.testBuiltWheelsFitTheirBase},
		{"what was fetched crosses scopes", p.testFetchedFilesCross},
		{"built anew for each sight", p.testBuiltAnewForEachSight},
		{"built once", p.testBuiltOnce},
		{"nothing built, nothing kept", p.testNothingBuiltNothingKept},
		{"whole RUNs count", p.testWholeRunsCount},
		{"uv shares what it fetched", p.testUvShares},
		{"a wheel that was published again", p.testPublishedAgain},
		{"what an address has", p.testWhatAnAddressHas},
		{"mirror leaves no trace", p.testMirrorLeavesNoTrace},
		{"apt asks the mirror", p.testAptAsksTheMirror},
		{"apt keeps its packages", p.testAptKeepsPackages},
		{"other tools are told", p.testOtherToolsAreTold},
		{"installations are the same", p.testInstallationsAreTheSame},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.T = t
			p.renew()
			c.test(t)
		})
	}
}

// renew starts with no caches.
func (p *pythonBench) renew() {
	p.Helper()
	caches, err := pipcache.Open(p.T.TempDir())
	if err != nil {
		p.Fatal(err)
	}
	p.Caches = caches
	p.Log()
}

// run builds with pip's cache and the index as its mirror, and returns the files of the result.
func (p *pythonBench) run(text string, change ...func(*Request)) (*Result, map[string]bool) {
	p.Helper()
	p.events = nil
	r, err := p.try(text, append([]func(*Request){p.mirrored}, change...)...)
	if err != nil {
		for _, e := range p.events {
			p.Logf("%s%s", e.Text, e.Data)
		}
		p.Fatal(err)
	}
	return r, p.files(r)
}

// mirrored gives a build the caches, and the index for pip.
func (p *pythonBench) mirrored(r *Request) {
	u, err := url.Parse(p.url)
	if err != nil {
		p.Fatal(err)
	}
	r.AutoCache = []installer.Tool{installer.Pip, installer.Uv}
	r.Limits.Network, r.NoLayers = "host", true
	r.Mirrors = map[installer.Tool]*url.URL{installer.Pip: u}
}

func (p *pythonBench) files(r *Result) map[string]bool {
	p.Helper()
	v, err := p.Store.View(r.Key)
	if err != nil {
		p.Fatal(err)
	}
	all := map[string]bool{}
	for _, dir := range []string{"/root", "/home", "/dev", "/run", "/tmp", "/usr/local/lib", "/opt"} {
		_ = v.Walk(dir, func(e *rootfs.Entry) error { // it need not exist
			if !strings.HasSuffix(e.Name, ".pyc") {
				all[e.Path] = true
			}
			return nil
		})
	}
	return all
}

func (p *pythonBench) cacheEvents() (all []*toolcache.Use) {
	for _, e := range p.events {
		if e.Type == Cache && e.Step != 0 { // without a step: that there is a cache
			all = append(all, e.Cache)
		}
	}
	return all
}

func (p *pythonBench) output() string {
	var b strings.Builder
	for _, e := range p.events {
		b.Write(e.Data)
		b.WriteString(e.Text)
	}
	return b.String()
}

func (p *pythonBench) requirements(versions ...string) {
	var b strings.Builder
	for i, v := range versions {
		fmt.Fprintf(&b, "part%d==%s\n", i, v)
	}
	p.file("requirements.txt", b.String())
}

// The Dockerfile of nine in ten: no mount, and often told not to cache.
const plainPip = "FROM base\nCOPY requirements.txt /\n" +
	"RUN pip install --no-cache-dir -r /requirements.txt && pip cache purge && rm -rf ~/.cache /root/.cache/pip\n"

func (p *pythonBench) testSecondBuildFetchesWhatChanged(t *testing.T) {
	p.requirements("1.0", "1.0", "1.0")
	first, files := p.run(plainPip)
	if got := testimage.Wheels(p.Log()); len(got) != 3 {
		t.Fatalf("fetched %v", got)
	}
	p.requirements("1.0", "2.0", "1.0")
	p.run(plainPip)
	if got := testimage.Wheels(p.Log()); !slices.Equal(got, []string{"part1-2.0-py3-none-any.whl"}) {
		t.Errorf("the second build fetched %v", got)
	}
	uses := p.cacheEvents()
	if len(uses) != 1 || uses[0].Hits != 2 || uses[0].Misses != 1 || uses[0].Saved == 0 || uses[0].Tool != "pip" || !uses[0].Automatic {
		t.Errorf("cache: %+v", uses)
	}
	for name := range files {
		if strings.Contains(name, "cache/pip") || strings.Contains(name, "gbuild") {
			t.Errorf("%s is in the image", name)
		}
	}
	for _, h := range first.Config.History {
		if strings.HasPrefix(h.CreatedBy, "RUN") && !strings.Contains(h.CreatedBy, "pip install --no-cache-dir -r /requirements.txt && pip cache purge && rm") {
			t.Errorf("history: %s", h.CreatedBy)
		}
	}
	p.requirements("1.0", "1.0", "1.0")
	off, _ := p.run(plainPip, func(r *Request) { r.AutoCache = nil })
	if off.Steps != 0 || off.Key != first.Key {
		t.Error("the key depends on the cache")
	}
	_, without := p.run(plainPip, func(r *Request) { r.AutoCache, r.NoCache = nil, true })
	if diff := difference(files, without); len(diff) > 0 {
		t.Errorf("with and without the cache differ in %v", diff)
	}
	if len(testimage.Wheels(p.Log())) != 3 || len(p.cacheEvents()) != 0 {
		t.Error("a cache was used though it was off")
	}
}

func difference(a, b map[string]bool) (names []string) {
	for name := range a {
		if !b[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if !a[name] {
			names = append(names, name)
		}
	}
	return names
}

// pip uses no cache that belongs to another user.
func (p *pythonBench) testEachUserHasACache(t *testing.T) {
	p.Helper()
	for _, user := range []string{"0", "1000:1000"} {
		text := "FROM base\nENV PIP_NO_CACHE_DIR=1\nRUN mkdir -m 0777 /work\nUSER " + user + "\nENV HOME=/work\nRUN pip install --target /work/x --no-cache-dir part0==1.0\n"
		for i, want := range []int{1, 0} {
			p.run(text, func(r *Request) { r.NoCache = true })
			if got := testimage.Wheels(p.Log()); len(got) != want {
				t.Errorf("user %s, build %d: fetched %v", user, i+1, got)
			}
			if strings.Contains(p.output(), "cache has been disabled") {
				t.Errorf("user %s: %s", user, p.output())
			}
		}
	}
	caches, err := p.Caches.List()
	if err != nil {
		t.Fatal(err)
	}
	pips := 0
	for _, c := range caches {
		if c.ID == "pip" {
			pips++
		}
	}
	if pips != 2 {
		t.Errorf("%d caches of pip: %+v", pips, caches)
	}
}

func (p *pythonBench) testDockerfilesWithACacheAreLeftAlone(t *testing.T) {
	for _, text := range []string{
		"RUN --mount=type=cache,target=/root/.cache/pip pip install part0==1.0 && env",
		"ENV PIP_CACHE_DIR=/opt/cache\nRUN pip install part0==1.0 && env",
		"RUN pip install --cache-dir /opt/cache part0==1.0 && env",
		"RUN pip install part0==1.0 && env\nFROM base\nCOPY --from=0 /root/.cache /x",
	} {
		p.run("FROM base\n" + text + "\n")
		if strings.Contains(p.output(), "/dev/gbuild") {
			t.Errorf("%s: %s", text, p.output())
		}
	}
}

// A cache directory of the user's own is used as it is; only built wheels are apart.
func (p *pythonBench) testPipDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	p.run("FROM base\nRUN pip install --no-cache-dir part0==1.0\n", func(r *Request) { r.PipDir = dir })
	if found, _ := filepath.Glob(filepath.Join(dir, "http*")); len(found) == 0 {
		t.Error("pip left nothing in the directory")
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := p.try("FROM base\nRUN pip install part1==1.0\n", func(r *Request) {
		r.PipDir, r.AutoCache = dir, []installer.Tool{installer.Pip}
	}); err == nil {
		t.Error("a directory that others write in was taken")
	}
}

// A wheel that was built on one torch must not be found by a build on another.
func (p *pythonBench) testBuiltWheelsFitTheirBase(t *testing.T) {
	p.offerNative()
	torch := func(version string) string {
		return "FROM base\nRUN mkdir -p /usr/local/lib/python3.11/dist-packages/torch-" + version + ".dist-info\n"
	}
	scopes := map[string]string{}
	for _, c := range [][2]string{
		{"torch 2.6", torch("2.6.0+cu124") + "RUN pip install native part0\n"},
		{"torch 2.8", torch("2.8.0") + "RUN pip install native part0\n"},
		{"none", "FROM base\nRUN pip install native part0\n"},
		{"none, other text", "FROM base\nRUN pip install native part1\n"},
		{"itself", "FROM base\nRUN pip install part0; pip install native\n"},
		{"itself, other text", "FROM base\nRUN pip install part2; pip install native\n"},
	} {
		caches := p.wheelCaches()
		p.run(c[1])
		for scope := range p.wheelCaches() {
			if !caches[scope] {
				scopes[c[0]] = scope
			}
		}
	}
	if len(scopes) != 5 || scopes["none, other text"] != "" || len(p.wheelCaches()) != 5 {
		t.Errorf("caches of built wheels: %v of %d", scopes, len(p.wheelCaches()))
	}
}

func (p *pythonBench) wheelCaches() map[string]bool {
	all, err := p.Caches.List()
	if err != nil {
		p.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range all {
		if c.ID == "pip-wheels" {
			found[c.Scope] = true
		}
	}
	return found
}

// A mirror is for the process alone, and its password for no log.
func (p *pythonBench) testMirrorLeavesNoTrace(t *testing.T) {
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "open sesame")
	text := "FROM base\nRUN env && pip install part0==1.0\n"
	r, _ := p.run(text, func(r *Request) { r.Mirrors = map[installer.Tool]*url.URL{installer.Pip: u, installer.Uv: u} })
	out := p.output()
	if strings.Contains(out, "sesame") || !strings.Contains(out, "me:****@127.0.0.1") {
		t.Errorf("output: %s", out)
	}
	if len(testimage.Wheels(p.Log())) != 1 {
		t.Error("pip did not ask the mirror")
	}
	again, _ := p.run(text, func(r *Request) { r.Mirrors = nil })
	if again.Steps != 0 || again.Key != r.Key {
		t.Error("the key depends on the mirror")
	}
}

// The mirror of apt is where its distributions are side by side.
func (p *pythonBench) testAptAsksTheMirror(t *testing.T) {
	mirror := &testimage.Index{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(mirror)
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	u, _ := url.Parse(server.URL)
	text := "FROM base\nRUN printf 'Types: deb\\nURIs: http://deb.invalid/debian\\nSuites: stable\\nComponents: main\\n' > /etc/apt/sources.list.d/x.sources; " +
		"echo 'deb http://deb.invalid/debian-security stable-security main' > /etc/apt/sources.list\nRUN apt-get update || true\n"
	p.run(text, func(r *Request) { r.Mirrors = map[installer.Tool]*url.URL{installer.Apt: u} })
	asked := map[string]bool{}
	for _, a := range mirror.Log() {
		asked[strings.SplitN(strings.TrimPrefix(a.Path, "/"), "/", 2)[0]] = true
	}
	if !asked["debian"] || !asked["debian-security"] {
		t.Errorf("the mirror was asked for %v\n%s", asked, p.output())
	}
}

// aptBase has a repository with one package, and docker-clean as Debian's images have it.
const aptBase = "FROM base\nRUN mkdir -p /repo/x/DEBIAN && cd /repo && " +
	"printf 'Package: tiny\\nVersion: 1\\nArchitecture: all\\nMaintainer: a\\nDescription: b\\n' > x/DEBIAN/control && dpkg-deb -b x tiny.deb && " +
	"(cat x/DEBIAN/control; echo Filename: ./tiny.deb; echo Size: $(stat -c%s tiny.deb); echo SHA256: $(sha256sum tiny.deb | cut -d' ' -f1)) > Packages && " +
	"rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] copy:/repo ./' > /etc/apt/sources.list && " +
	"echo 'DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb || true\"; };' > /etc/apt/apt.conf.d/docker-clean\n"

func (p *pythonBench) testAptKeepsPackages(t *testing.T) {
	apt := func(r *Request) { r.AutoCache, r.Mirrors, r.NoCache = []installer.Tool{installer.Apt}, nil, true }
	p.run(aptBase+"RUN apt-get update && apt-get install -y tiny && apt-get clean\n", apt)
	p.wantInCache("apt", "tiny_1_all.deb")
	p.run(aptBase+"RUN --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y tiny\n", apt)
	p.wantInCache("/var/cache/apt", "tiny_1_all.deb")
	p.run(aptBase+"RUN --mount=type=cache,target=/var/cache/apt rm /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install -y tiny\n", apt)
}

func (p *pythonBench) wantInCache(id, file string) {
	p.Helper()
	all, err := p.Caches.List()
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range all {
		if c.ID != id {
			continue
		}
		for _, place := range []string{file, "archives/" + file} {
			if _, err := os.Stat(filepath.Join(c.Dir, place)); err == nil {
				return
			}
		}
	}
	p.Errorf("%s is not in the cache %s\n%s", file, id, p.output())
}

// Scripts stand for tools that no test base has: they see what the real ones would.
func (p *pythonBench) testOtherToolsAreTold(t *testing.T) {
	p.run("FROM base\nENV UV_NO_CACHE=1\nRUN for t in uv npm conda; do printf '#!/bin/sh\\necho \"$*; $UV_CACHE_DIR $UV_LINK_MODE $UV_NO_CACHE $npm_config_cache $CONDA_PKGS_DIRS.\"\\n' > /usr/local/bin/$t; chmod +x /usr/local/bin/$t; done\n"+
		"RUN uv pip install --no-cache a && uv cache clean\nRUN npm ci\nRUN conda install a && conda clean -afy\nRUN --mount=type=cache,target=/root/.cache/pip uv sync\n",
		func(r *Request) { r.AutoCache = installer.Tools })
	for _, want := range []string{"pip install a; /dev/gbuild/uv copy   .", "cache clean;  copy   .", "ci;   1 /dev/gbuild/npm .", "install a;   1  /dev/gbuild/conda.", "clean -afy;   1  .",
		"sync; /dev/gbuild/uv copy   .", "cache mount /root/.cache/pip: this mount was never touched"} {
		if !strings.Contains(p.output(), want) {
			t.Errorf("%q is not in\n%s", want, p.output())
		}
	}
}
