package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nativeBackend builds a wheel that has what its build saw, as an extension module would.
const nativeBackend = `import os, subprocess, sys, zipfile
def read(name):
    try: return open(name).read().strip()
    except OSError: return None
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    names = ["CMAKE_ARGS", "CFLAGS", "FORCE_CUDA", "PIP_CONSTRAINT"]
    seen = {"env": {n: os.environ.get(n) for n in names}, "config": config_settings, "argv": None,
        "files": [read(n) for n in ["/usr/include/x.h", "/opt/lib/y", "/c.txt"]], "user": os.getuid(), "python": sys.prefix,
        "tool": subprocess.getoutput("native-tool --version"), "net": os.path.exists("/sys/class/net/gbuild"), "shm": os.statvfs("/dev/shm").f_blocks}
    name = "native-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as z:
        info = "native-1.0.dist-info/"
        z.writestr("native.py", "seen = %r\n" % (seen,))
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "RECORD", "native.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % (info, info, info))
    return name
`

// sdist writes a source distribution that builds itself.
func sdist(t *testing.T, name string) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for file, text := range map[string]string{
		"PKG-INFO":       "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n",
		"backend.py":     strings.ReplaceAll(nativeBackend, "native", name),
		"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name + "-1.0/" + file, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+"-1.0.tar.gz")
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	installNative = "RUN pip install --no-build-isolation native==1.0\n"
	showNative    = "RUN python3 -c 'import native; print(\"SEEN\", native.seen)'\n"
)

// builtDifferently are builds of which the second one must have a wheel of its own: each is what stands before, and the RUN.
var builtDifferently = map[string][2]string{
	"the issue":      {"RUN pip install --no-cache-dir --no-build-isolation native\n", "RUN CMAKE_ARGS=-DCUDA=on pip install --no-cache-dir --force-reinstall --no-build-isolation native\n"},
	"assignment":     {installNative, "RUN CMAKE_ARGS=1 pip install --no-build-isolation native==1.0\n"},
	"export":         {installNative, "RUN export CMAKE_ARGS=1; pip install --no-build-isolation native==1.0\n"},
	"ENV":            {installNative, "ENV CMAKE_ARGS=1\n" + installNative},
	"header by RUN":  {installNative, "RUN echo 1 >/usr/include/x.h\n" + installNative},
	"header by COPY": {installNative, "COPY x.h /usr/include/\n" + installNative},
	"header renamed": {installNative, "COPY requirements.txt /usr/include/x.h\n" + installNative},
	"tool in PATH":   {installNative, "RUN printf '#!/bin/sh\\necho 2\\n' >/usr/bin/native-tool && chmod +x /usr/bin/native-tool\n" + installNative},
	"config setting": {installNative, "RUN pip install --no-build-isolation --config-settings=a=1 native==1.0\n"},
	"two settings":   {"RUN pip install --config-settings a==1 native==1.0\n", "RUN pip install --config-settings a==2 native==1.0\n"},
	"constraint":     {"COPY c1.txt /c.txt\nENV PIP_CONSTRAINT=/c.txt\nRUN pip install native==1.0\n", "COPY c2.txt /c.txt\nENV PIP_CONSTRAINT=/c.txt\nRUN pip install native==1.0\n"},
	"configured":     {"COPY c1.txt /c.txt\nCOPY pip.conf /etc/pip.conf\nRUN pip install -c /c.txt native==1.0\n", "COPY c2.txt /c.txt\nCOPY pip.conf /etc/pip.conf\nRUN pip install -c /c.txt native==1.0\n"},
	"two in one RUN": {installNative, "RUN pip install --no-cache-dir native && CMAKE_ARGS=9 pip install --no-cache-dir --force-reinstall native\n"},
	"exported":       {installNative, "RUN export PIP_NO_CACHE_DIR=1; pip install native; export CMAKE_ARGS=8; pip install --force-reinstall native\n"},
	"by ENV":         {installNative, "ENV PIP_NO_CACHE_DIR=off\nRUN pip install native; CMAKE_ARGS=7 pip install --force-reinstall native\n"},
	"in a loop":      {installNative, "RUN for a in 1 2; do CMAKE_ARGS=$a pip install --no-cache-dir --force-reinstall native; done\n"},
	"heredoc":        {installNative, "RUN <<E bash\nexport CMAKE_ARGS=6\npip install native\nE\n"},
	"script":         {installNative, "COPY <<E /s.sh\nCMAKE_ARGS=5 pip install native\nE\nRUN sh /s.sh; true || pip install other\n"},
}

// Nothing that was built is used again where the build would see something else.
func (p *pythonBench) testBuiltAnewForEachSight(t *testing.T) {
	p.offerNative()
	for name, c := range builtDifferently {
		p.run("FROM base\n" + c[0] + strings.Repeat(showNative, 1-strings.Count(c[0], "SEEN")))
		text := "FROM base\n" + c[1] + strings.Repeat(showNative, 1-strings.Count(c[1], "SEEN"))
		p.run(text)
		got := p.seen()
		p.run(text, func(r *Request) { r.AutoCache, r.NoCache = nil, true })
		if want := p.seen(); got != want || got == "" {
			t.Errorf("%s: the build saw\n%s\nand without a cache\n%s", name, got, want)
		}
	}
}

func (p *pythonBench) offerNative() {
	p.Helper()
	if err := p.AddFile(sdist(p.T, "native")); err != nil {
		p.Fatal(err)
	}
	if err := p.AddFile(sdist(p.T, "other")); err != nil {
		p.Fatal(err)
	}
	p.file("x.h", "1")
	p.file("c1.txt", "native==1.0")
	p.file("c2.txt", "native==1.0 # 2")
	p.file("pip.conf", "[global]\nconstraint = /c.txt\n")
	p.file("requirements.txt", "native==1.0\n")
}

// seen is what the build of the wheel saw that is installed.
func (p *pythonBench) seen() string {
	_, text, _ := strings.Cut(p.output(), "SEEN ")
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// What is built is found again where only requirements have changed, and things that no build sees.
func (p *pythonBench) testBuiltOnce(t *testing.T) {
	p.offerNative()
	for _, c := range []struct {
		requirements, text string
		build              bool
	}{
		{"native==1.0\n", "COPY requirements.txt /\nRUN pip install -r /requirements.txt\n", true},
		{"native==1.0\npart0==1.0\n", "COPY requirements.txt /\nRUN pip install -r /requirements.txt\n", false},
		{"part0==2.0\nnative==1.0\n", "WORKDIR /w\nCOPY requirements.txt requirements-x.txt ./\nRUN pip install -r /w/requirements.txt\n", true}, // another directory
		{"part0==1.0\nnative==1.0\n", "WORKDIR /w\nCOPY requirements.txt requirements-x.txt ./\nENV PIP_PROGRESS_BAR=off\nRUN pip install -r requirements.txt\n", false},
		{"native==1.0\n", "COPY requirements.txt /\nRUN pip install -r /requirements.txt && rm /requirements.txt\n", true},
		{"native==1.0\nother\n", "COPY requirements.txt /\nRUN pip install -r /requirements.txt && rm /requirements.txt\n", false},
	} {
		p.file("requirements.txt", c.requirements)
		p.file("requirements-x.txt", c.requirements)
		p.run("FROM base\n" + c.text)
		if built := strings.Contains(p.output(), "Created wheel for native"); built != c.build {
			t.Errorf("%q with %q: built: %t\n%s", c.text, c.requirements, built, p.output())
		}
	}
	p.wantBuilt(3)
}

// A cache of built wheels is there if there is something in it, and says what it is for.
func (p *pythonBench) testNothingBuiltNothingKept(t *testing.T) {
	p.offerNative()
	p.run("FROM base\nRUN pip install part0==1.0\nRUN pip install --no-cache-dir native\n")
	p.wantBuilt(0)
	if u := p.cacheEvents(); len(u) != 2 || len(u[1].Built) > 0 {
		t.Errorf("caches: %+v", u)
	}
	p.run("FROM base\nRUN pip install native && true\n")
	p.wantBuilt(1)
	p.run("FROM base\nRUN pip install native && true && true\n", func(r *Request) { r.Limits.Network = "host" })
	p.wantBuilt(2)
	all, err := p.Caches.List()
	if err != nil {
		t.Fatal(err)
	}
	about := false
	for _, c := range all {
		about = about || c.About == "on base: RUN pip install native && true"
	}
	if !about {
		t.Errorf("caches: %+v", all)
	}
}

func (p *pythonBench) wantBuilt(n int) {
	p.Helper()
	if got := p.wheelCaches(); len(got) != n {
		p.Errorf("%d caches of built wheels, want %d: %v", len(got), n, got)
	}
}

// A RUN that installs several things one after the other, or that fetches, counts as it is; what --no-cache runs again is
// built again there.
func (p *pythonBench) testWholeRunsCount(t *testing.T) {
	p.offerNative()
	text := "FROM base\nRUN pip install part0==1.0 && pip install --no-build-isolation native\n" + showNative
	for i, built := range []bool{true, true} {
		p.run(text, func(r *Request) { r.NoCache = i > 0 })
		if got := strings.Contains(p.output(), "Created wheel for native"); got != built {
			t.Errorf("build %d: built: %t", i, got)
		}
	}
}
