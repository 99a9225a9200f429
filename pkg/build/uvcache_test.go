package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeUv does to its cache what uv does: all is made under another name in the directory, or in a part of it, and renamed;
// packages are unpacked in archive-v0, and links lead to them; what was built is below sdists-v9 with a link of its own.
// It prints what it did.
const fakeUv = `#!/usr/bin/env python3
import os, sys, tempfile, uuid
args = sys.argv[1:]
if "--no-cache" in args: cache = tempfile.mkdtemp()
else: cache = os.environ["UV_CACHE_DIR"]
def made(*parts):
    path = os.path.join(cache, *parts)
    os.makedirs(path, exist_ok=True)
    return path
open(os.path.join(cache, "CACHEDIR.TAG"), "w").close()
open(os.path.join(made("sdists-v9"), ".git"), "w").close()
open(os.path.join(made("interpreter-v4", "host"), "python.msgpack"), "w").close()
def archive(text):
    tmp = tempfile.mkdtemp(prefix=".tmp", dir=cache)
    open(os.path.join(tmp, "module.py"), "w").write(text)
    place = os.path.join(made("archive-v0"), uuid.uuid4().hex)
    os.rename(tmp, place)
    return place
def link(to, path):
    tmp = path + ".tmp"
    os.symlink(to, tmp)
    os.rename(tmp, path)
def wheel(name):
    path = os.path.join(made("wheels-v5", "pypi", name), name + "-1.0-py3-none-any")
    how = "cached" if os.path.exists(os.path.join(path, "module.py")) else "fetched"
    if how == "fetched": link(archive(name), path)
    print(how, open(os.path.join(path, "module.py")).read())
def sdist(name):
    shard = made("sdists-v9", "pypi", name, "1.0", "revision")
    path = os.path.join(shard, name + "-1.0-py3-none-any")
    how = "kept" if os.path.exists(os.path.join(path, "module.py")) else "built"
    if how == "built":
        tmp = tempfile.mkdtemp(prefix=".tmp", dir=made("builds-v0"))
        open(os.path.join(tmp, "x.whl"), "w").write("wheel")
        os.rename(os.path.join(tmp, "x.whl"), path + ".whl")
        link(archive("with %s" % os.environ.get("CMAKE_ARGS")), path)
    print(how, open(os.path.join(path, "module.py")).read())
for name in args[2:]:
    if not name.startswith("-"): (sdist if name.startswith("native") else wheel)(name)
`

const withUv = "FROM base\nCOPY --chmod=755 uv /usr/local/bin/uv\n"

// What uv fetched is there for any RUN; what it built only for one that would build the same.
func (p *pythonBench) testUvShares(t *testing.T) {
	p.file("uv", fakeUv)
	for i, c := range []struct{ text, want string }{
		{"RUN uv pip install a native", "fetched a, built with None"},
		{"RUN uv pip install a native && true", "cached a, built with None"},
		{"RUN uv pip install native", "kept with None"},
		{"RUN uv python pin && umask 002 && uv pip install a b", "cached a, fetched b"},
		{"RUN echo 1 >/usr/include/x.h\nRUN uv pip install b native", "cached b, built with None"},
		{"ENV CMAKE_ARGS=1\nRUN uv pip install native b", "built with 1, cached b"},
		{"RUN uv pip install --no-cache native", "built with None"},
		{"RUN uv pip install --no-cache native a", "built with None, cached a"},
		{"RUN uv pip install --no-cache native c && CMAKE_ARGS=2 uv pip install --no-cache native d", "built with None, fetched c, built with 2, fetched d"},
		{"RUN true; uv pip install c d", "cached c, cached d"},
		{"ENV UV_NO_CACHE=1\nRUN uv pip install native && CMAKE_ARGS=3 uv pip install native", "built with None, built with 3"},
		{"USER 1000:1000\nRUN uv pip install a native", "fetched a, built with None"},
		{"USER 1000:1000\nRUN true; uv pip install a", "cached a"},
	} {
		p.run(withUv + c.text + "\n")
		if got := p.done(); got != c.want {
			t.Errorf("%d: %s: %s, want %s\n%s", i, c.text, got, c.want, p.output())
		}
	}
	p.nothingLeft()
	all, err := p.Caches.List()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, c := range all {
		ids[c.ID]++
		if c.Files == 0 {
			t.Errorf("an empty cache: %+v", c)
		}
		for _, name := range []string{"builds-v0", "archive-v0"} {
			found, _ := filepath.Glob(filepath.Join(c.Dir, name, "*"))
			if name == "builds-v0" && len(found) > 0 || c.ID == "uv-built" && name == "archive-v0" && len(found) != 1 {
				t.Errorf("%s %s: %v", c.ID, c.About, found)
			}
		}
	}
	if ids["uv"] != 2 || ids["uv-built"] != 5 {
		t.Errorf("caches: %v", ids)
	}
}

// done is what the uv of the test did.
func (p *pythonBench) done() string {
	var all []string
	for _, e := range p.events {
		for line := range strings.Lines(string(e.Data)) {
			if how, _, _ := strings.Cut(line, " "); strings.Contains("fetched cached built kept", how) && how != "" {
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	return strings.Join(all, ", ")
}

// nothingLeft looks for directories that only a RUN has.
func (p *pythonBench) nothingLeft() {
	p.Helper()
	entries, err := os.ReadDir(filepath.Join(p.Caches.Dir(), "mounts"))
	if err != nil {
		p.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			p.Errorf("%s is left", e.Name())
		}
	}
}
