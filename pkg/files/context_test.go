package files

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
)

// names lists everything in a tree.
func names(t testing.TB, tree Tree) (list []string) {
	t.Helper()
	var walk func(n *Node)
	walk = func(n *Node) {
		for n, err := range tree.ReadDir(n) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, local(n.Path))
			if n.IsDir() {
				walk(n)
			}
		}
	}
	top, err := tree.Lstat("/")
	if err != nil {
		t.Fatal(err)
	}
	walk(top)
	return list
}

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIgnoreRules(t *testing.T) {
	tests := []struct{ name, rules, files, want string }{
		{"anchored", "*.log\n**/*.tmp\nonly\ndocs/*.md", "a.log a.tmp only/f s/a.log s/a.tmp s/only docs/a.md docs/s/b.md",
			"docs docs/s docs/s/b.md s s/a.log s/only"},
		{"allow list", "*\n!src\n!pkg/lib/*.c\n!go.mod\nsrc/**/testdata", "src/a.c src/x/testdata/t src/x/b.c pkg/lib/c.c pkg/lib/c.h pkg/d.c go.mod go.sum",
			"go.mod pkg pkg/lib pkg/lib/c.c src src/a.c src/x src/x/b.c"},
		{"parents", "node_modules\n**/node_modules\n!web/node_modules/keep\n**/dist\n!api/*/dist\n/api/v2/dist/*.map",
			"node_modules/a web/node_modules/b web/node_modules/keep/c api/v1/dist/d.js api/v2/dist/e.js api/v2/dist/e.map api/dist/f",
			"api api/v1 api/v1/dist api/v1/dist/d.js api/v2 api/v2/dist api/v2/dist/e.js web web/node_modules web/node_modules/keep web/node_modules/keep/c"},
		{"contents", "star/*\ntwo/**\nname\nslash/\nmid/**/x", "star/f star/s/f two/f two/s/f name/f slash/f mid/x mid/a/b/x mid/a/y",
			"mid mid/a mid/a/b mid/a/y star two"},
		{"exceptions", "dir\n!dir/keep\n*.md\n!README*.md\nREADME-secret.md\nother\n!**/deep/*",
			"dir/keep dir/drop a.md README.md README-x.md README-secret.md other/f other/deep/f other/deep/s/f",
			"README-x.md README.md dir dir/keep other other/deep other/deep/f other/deep/s other/deep/s/f"},
		{"comments and a mark", "\xef\xbb\xbf# no\n\n  b  \n", "a b", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"Dockerfile.dockerignore": tt.rules + "\nDockerfile.dockerignore\n.dockerignore", ".dockerignore": "*"}
			for f := range strings.FieldsSeq(tt.files) {
				files[f] = "x"
			}
			writeFiles(t, dir, files)
			c, err := OpenContext(t.Context(), dir, ContextOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := strings.Join(names(t, c.Tree()), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, name := range names(t, c.raw) {
				_, err := c.Tree().Lstat(name)
				if visible := slices.Contains(strings.Fields(tt.want), name); visible != (err == nil) {
					t.Errorf("Lstat(%s): %v", name, err)
				}
			}
		})
	}
}

// What gbuild is going to write into the context is no part of it, though it is not there when the context is opened.
func TestOwnDirectoriesAreNoPartOfAContext(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.py": "x", "there/f": "x"})
	c, err := OpenContext(t.Context(), dir, ContextOptions{Own: []string{dir + "/there", dir + "/new/state"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	writeFiles(t, dir, map[string]string{"new/state/f": "x"})
	if got := strings.Join(names(t, c.Tree()), " "); got != "main.py new" {
		t.Errorf("got %s", got)
	}
}

func TestBadIgnoreFile(t *testing.T) {
	for _, pattern := range []string{"[x", `\1`} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{".dockerignore": "a\n" + pattern + "\n"})
		_, err := OpenContext(t.Context(), dir, ContextOptions{})
		if err == nil || !strings.Contains(err.Error(), ".dockerignore:2") {
			t.Errorf("%s: got %v", pattern, err)
		}
	}
}

// FuzzIgnore holds the pruned walk against the matcher asked about every path, its parents first.
func FuzzIgnore(f *testing.F) {
	f.Add("*\n!a\n", "a/b c/d")
	f.Add("a\n!a/b\n", "a/b/c a/c")
	f.Add("**/x\n!y/*/x\n", "y/z/x x y/x")
	f.Add("a/*\n!a/*/c\na/b/c/d", "a/b/c/d a/b/c/e a/x")
	f.Add("a*\n!**/b", "ab/c/b a/b b")
	f.Add("?\n![a-c]/x\n!\\d", "a/x d d/e b/y")
	f.Fuzz(func(t *testing.T, rules, paths string) {
		if len(rules) > 200 || len(paths) > 200 || strings.ContainsAny(paths, "\x00\\") || strings.Contains(paths, "..") {
			t.Skip()
		}
		dir := t.TempDir()
		for p := range strings.FieldsSeq(paths) {
			if os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755) == nil {
				os.WriteFile(filepath.Join(dir, p), nil, 0o644)
			}
		}
		parsed, err := parseIgnore(".dockerignore", []byte(rules))
		if err != nil || parsed == nil {
			t.Skip()
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var list []string
		for _, l := range parsed.lines {
			list = append(list, l.pattern)
		}
		m, err := patternmatcher.New(list)
		if err != nil {
			t.Skip()
		}
		got, want := names(t, newDirTree(root, parsed)), unpruned(t, newDirTree(root, nil), m)
		if !slices.Equal(got, want) {
			t.Errorf("rules %q:\ngot  %q\nwant %q", list, got, want)
		}
	})
}

// unpruned lists what m leaves, looking everywhere.
func unpruned(t *testing.T, tree *dirTree, m *patternmatcher.PatternMatcher) []string {
	kept := map[string]bool{}
	var walk func(dir *Node, info patternmatcher.MatchInfo)
	walk = func(dir *Node, info patternmatcher.MatchInfo) {
		for n, err := range tree.ReadDir(dir) {
			if err != nil {
				t.Fatal(err)
			}
			out, below, err := m.MatchesUsingParentResults(local(n.Path), info)
			if err != nil {
				t.Skip()
			}
			for p := local(n.Path); !out && p != "."; p = filepath.Dir(p) {
				kept[p] = true
			}
			if n.IsDir() {
				walk(n, below)
			}
		}
	}
	top, _ := tree.Lstat("/")
	walk(top, patternmatcher.MatchInfo{})
	var list []string
	for _, n := range names(t, tree) {
		if kept[n] {
			list = append(list, n)
		}
	}
	return list
}

// FuzzCopyPath resolves any path in a tree full of links, and must stay in it.
func FuzzCopyPath(f *testing.F) {
	for _, s := range []string{"a", "../../etc/passwd", "up/up/x", "abs/passwd", "dir/../up", "loop", "dir/./file/", "*/l*", "//", "[", "dir//file"} {
		f.Add(s)
	}
	dir, outside := f.TempDir(), f.TempDir()
	writeFiles(f, outside, map[string]string{"secret": "s"})
	writeFiles(f, dir, map[string]string{"dir/file": "x"})
	for name, target := range map[string]string{"up": "../..", "abs": outside, "loop": "loop", "dir/l": "../dir", "dir/out": "../../" + filepath.Base(outside)} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	tree := newDirTree(root, nil)
	f.Fuzz(func(t *testing.T, name string) {
		nodes, bases, err := find(t.Context(), tree, name)
		if err != nil {
			return
		}
		for i, n := range nodes {
			if strings.Contains(bases[i], "/") && bases[i] != "/" {
				t.Errorf("%q has the name %q", name, bases[i])
			}
			if _, err := os.Lstat(filepath.Join(dir, n.Path)); err != nil || n.Path != filepath.Clean(n.Path) {
				t.Errorf("%q leads to %q: %v", name, n.Path, err)
			}
			if n.IsSymlink() {
				t.Errorf("%q ends at a link", name)
			}
		}
	})
}

func TestDockerfileLookup(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "ctx")
	writeFiles(t, base, map[string]string{"ctx/Dockerfile": "in", "ctx/sub/My": "my", "Outside": "out", "secret": "s", "lower/dockerfile": "low", "lower/sub/dockerfile": "below",
		"ctx/real": "real", "empty/x": "", "podman/Containerfile": "pod", "podman/sub/Containerfile": "", "both/Containerfile": "pod", "both/Dockerfile": "docker"})
	os.Symlink("../secret", filepath.Join(dir, "Leak"))
	os.Symlink("real", filepath.Join(dir, "Link"))
	os.Mkdir(filepath.Join(dir, "Dir"), 0o755)
	tests := []struct{ context, name, display, want string }{
		{dir, "", "Dockerfile", "in"},
		{dir, "sub/My", "sub/My", "my"},
		{dir, filepath.Join(dir, "sub/My"), "", "my"},
		{dir, filepath.Join(base, "Outside"), "", "out"},
		{dir, "Link", "Link", "real"},
		{dir, "-", "Dockerfile", "stdin"},
		{filepath.Join(base, "lower"), "", "dockerfile", "low"},
		{filepath.Join(base, "lower"), "sub/Dockerfile", "sub/dockerfile", "below"},
		{filepath.Join(base, "lower"), filepath.Join(base, "lower/sub/Dockerfile"), "", "below"},
		{filepath.Join(base, "lower"), "sub/My", "", ""},
		{dir, "Leak", "", ""},
		{dir, "Dir", "", ""},
		{dir, "/dev/null", "", ""},
		{dir, "none", "", ""},
		{filepath.Join(base, "empty"), "", "", ""},
		{filepath.Join(base, "podman"), "", "Containerfile", "pod"},
		{filepath.Join(base, "podman"), "Dockerfile", "", ""},
		{filepath.Join(base, "podman"), "sub/Dockerfile", "", ""},
		{filepath.Join(base, "both"), "", "Dockerfile", "docker"},
	}
	for _, tt := range tests {
		c, err := OpenContext(t.Context(), tt.context, ContextOptions{Dockerfile: tt.name, Stdin: strings.NewReader("stdin")})
		if err != nil {
			t.Fatal(err)
		}
		display, data, err := c.Dockerfile(tt.name)
		if string(data) != tt.want || (err == nil) != (tt.want != "") || tt.display != "" && display != tt.display {
			t.Errorf("%s: %q %q %v", tt.name, display, data, err)
		}
		c.Close()
	}
}

func TestIgnoreFileOfPodman(t *testing.T) {
	for _, tt := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{".containerignore": "a"}, ".containerignore Containerfile b"},
		{map[string]string{".containerignore": "a", ".dockerignore": "b"}, ".containerignore .dockerignore Containerfile a"},
	} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{"Containerfile": "FROM scratch", "a": "", "b": ""})
		writeFiles(t, dir, tt.files)
		c, err := OpenContext(t.Context(), dir, ContextOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names(t, c.Tree()), " "); got != tt.want {
			t.Errorf("the context has %q, want %q", got, tt.want)
		}
		c.Close()
	}
}

func TestOwnIgnoreFileOfDockerfile(t *testing.T) {
	base := t.TempDir()
	writeFiles(t, base, map[string]string{"D": "", "D.dockerignore": "one", "c/.dockerignore": "two", "c/one": "", "c/two": "", "c/E": "", "c/E.dockerignore": "t*"})
	for name, want := range map[string]string{
		filepath.Join(base, "D"): ".dockerignore E E.dockerignore two", "E": ".dockerignore E E.dockerignore one", "": ".dockerignore E E.dockerignore one"} {
		c, err := OpenContext(t.Context(), filepath.Join(base, "c"), ContextOptions{Dockerfile: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names(t, c.Tree()), " "); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		c.Close()
	}
}

func TestContextsThatAreNoDirectories(t *testing.T) {
	data := archive(t, &tar.Header{Name: "./Dockerfile", Typeflag: tar.TypeReg, Mode: 0o644}, &tar.Header{Name: ".dockerignore", Typeflag: tar.TypeReg, Mode: 0o644},
		&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o700}, &tar.Header{Name: "d/e/f", Typeflag: tar.TypeReg, Mode: 0o4755},
		&tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, &tar.Header{Name: "d/h", Typeflag: tar.TypeLink, Linkname: "d/e/f"},
		&tar.Header{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(data)
	z.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/c.tar.gz":
			w.Write(zipped.Bytes())
		case "/Dockerfile":
			w.Write([]byte("FROM scratch"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "c.tar")
	os.WriteFile(file, data, 0o644)
	const files = ".dockerignore Dockerfile d d/e d/e/f d/h d/l"
	tests := []struct{ spec, stdin, dockerfile, files string }{
		{file, "", "./Dockerfile", files},
		{"-", string(data), "./Dockerfile", files},
		{"-", zipped.String(), "./Dockerfile", files},
		{"-", "FROM scratch", "FROM scratch", ""},
		{server.URL + "/c.tar.gz", "", "./Dockerfile", files},
		{server.URL + "/Dockerfile", "", "FROM scratch", "context"},
		{server.URL + "/none", "", "", ""},
		{"/does/not/exist", "", "", ""},
		{"/dev/null", "", "", ""},
	}
	for _, tt := range tests {
		state := t.TempDir()
		c, err := OpenContext(t.Context(), tt.spec, ContextOptions{Stdin: strings.NewReader(tt.stdin), StateDir: state})
		if tt.dockerfile == "" {
			if err == nil {
				t.Errorf("%s: no error", tt.spec)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.spec, err)
			continue
		}
		_, text, err := c.Dockerfile("")
		if err != nil || string(text) != tt.dockerfile {
			t.Errorf("%s: %q %v", tt.spec, text, err)
		}
		if got := strings.Join(names(t, c.Tree()), " "); got != tt.files {
			t.Errorf("%s: got %s", tt.spec, got)
		}
		if n, err := c.Tree().Lstat("d/e/f"); len(tt.files) > 9 && (err != nil || n.Mode&0o7777 != 0o4755) {
			t.Errorf("%s: %v %v", tt.spec, n, err)
		}
		c.Close()
		if left, _ := os.ReadDir(filepath.Join(state, "contexts")); len(left) != 0 {
			t.Errorf("%s: %v is left", tt.spec, left)
		}
	}
}

// An archive of which something is missing is refused, wherever it was cut.
func TestCutContext(t *testing.T) {
	data := archive(t, &tar.Header{Name: "./Dockerfile", Typeflag: tar.TypeReg, Mode: 0o644}, &tar.Header{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o644})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(data)
	z.Close()
	file, state := filepath.Join(t.TempDir(), "c.tgz"), t.TempDir()
	for n := range zipped.Len() + 1 {
		if err := os.WriteFile(file, zipped.Bytes()[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := OpenContext(t.Context(), file, ContextOptions{StateDir: state})
		if err == nil {
			c.Close()
		}
		if (err == nil) != (n == zipped.Len()) {
			t.Errorf("%d of %d bytes: %v", n, zipped.Len(), err)
		}
	}
}

func TestHostileTarContext(t *testing.T) {
	base := t.TempDir()
	writeFiles(t, base, map[string]string{"victim/f": "safe"})
	for _, headers := range [][]*tar.Header{
		{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: filepath.Join(base, "victim")}, {Name: "l/f", Typeflag: tar.TypeReg, Mode: 0o644}},
		{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../../../../../../../" + base + "/victim"}, {Name: "l/f", Typeflag: tar.TypeReg, Mode: 0o644}},
		{{Name: "../../victim/f", Typeflag: tar.TypeReg, Mode: 0o644}},
		{{Name: "h", Typeflag: tar.TypeLink, Linkname: filepath.Join(base, "victim/f")}, {Name: "h", Typeflag: tar.TypeReg, Mode: 0o644}},
	} {
		file := filepath.Join(base, "c.tar")
		os.WriteFile(file, archive(t, headers...), 0o644)
		c, err := OpenContext(t.Context(), file, ContextOptions{StateDir: base})
		if err == nil {
			c.Close()
		}
		if data, _ := os.ReadFile(filepath.Join(base, "victim/f")); string(data) != "safe" {
			t.Errorf("%s was written outside", headers[0].Name)
		}
	}
}

func TestUnreadableContextFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "f"), nil, 0)
	c, err := OpenContext(t.Context(), dir, ContextOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := DigestPath(t.Context(), c.Tree(), "f"); err == nil || err.Error() != `reading "/f": permission denied` || errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
