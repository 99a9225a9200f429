// This file owns what the images of the project must have and do.

package testjobs

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testimage"
)

// TestImageKeepsToItself compares the files of both images with the list that they have of themselves: what is on no line
// and no directory would become a part of what is built in their place.
func TestImageKeepsToItself(t *testing.T) {
	w := newWorld(t)
	for target, listed := range map[string][]string{"gbuild": {"/busybox", "/bin/sh"}, "debug": nil} {
		files := readTar(t, w.tars[target])
		marker := string(files["/.gbuild/image"].body)
		ours := strings.Fields(strings.ReplaceAll(marker, "\n-", "\n"))
		seen := map[string]bool{}
		for name, f := range files {
			of := slices.IndexFunc(ours, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") })
			if of >= 0 {
				seen[ours[of]] = true
			} else if !f.isDir {
				t.Errorf("%s: %s is not in /.gbuild/image:\n%s", target, name, marker)
			}
		}
		for _, o := range ours {
			if !seen[o] && !slices.Contains(listed, o) {
				t.Errorf("%s: there is no %s, which is in /.gbuild/image", target, o)
			}
		}
		for _, tool := range []string{"newuidmap", "newgidmap"} {
			if f := files["/.gbuild/bin/"+tool]; !f.capable || f.mode&fs.ModeSetuid != 0 {
				t.Errorf("%s: %s has mode %v, and file capabilities: %v", target, tool, f.mode, f.capable)
			}
		}
	}
}

// file is what the test looks at of a file of an image.
type file struct {
	mode    fs.FileMode
	isDir   bool
	isSmall bool // a regular file whose content is in body
	capable bool
	body    []byte
}

func readTar(t *testing.T, path string) map[string]file {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return filesIn(t, r)
}

// filesIn reads a tar; of large files it leaves out the content.
func filesIn(t *testing.T, r io.Reader) map[string]file {
	t.Helper()
	files := map[string]file{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		f := file{mode: h.FileInfo().Mode(), isDir: h.Typeflag == tar.TypeDir, isSmall: h.Typeflag == tar.TypeReg && h.Size < 1<<16}
		_, f.capable = h.PAXRecords["SCHILY.xattr.security.capability"]
		if h.Size < 1<<16 {
			f.body, _ = io.ReadAll(archive)
		}
		files[filepath.Join("/", h.Name)] = f
	}
}

// TestImageHasUsers starts the image as people may be in a container.
func TestImageHasUsers(t *testing.T) {
	w := newWorld(t)
	dir := w.project(t, map[string]string{"Dockerfile": "FROM " + w.base + "\nCOPY . /files/\n"})
	for name, options := range map[string][]string{
		"root":                  nil,
		"the user of the image": {"--user", "gbuild"},
		"any user":              {"--user", "54321:0"},
		"no new privileges":     {"--user", "1000", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"},
		"read-only":             {"--read-only", "--tmpfs", "/.gbuild/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			ref := w.ref(t)
			w.docker(t, append(options, "--volume", dir+":/project:ro", w.images["gbuild"], "build", "--push", "-t", ref, "/project")...)
			if body := w.pushed(t, ref)["files/Dockerfile"]; !strings.HasPrefix(body, "FROM ") {
				t.Errorf("files/Dockerfile is %q", body)
			}
		})
	}
}

// TestImageIsRootless executes a RUN as the user of the image, where the container lets namespaces be made.
func TestImageIsRootless(t *testing.T) {
	w := newWorld(t)
	dir := w.project(t, map[string]string{"Dockerfile": "FROM " + w.base + "\nRUN id -u >/id && chown app:audio /id\n"})
	ref := w.ref(t)
	out := w.docker(t, "--user", "gbuild", "--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined", "--volume", dir+":/project:ro",
		w.images["gbuild"], "build", "--push", "-t", ref, "/project")
	if strings.Contains(out, "isolation ") {
		t.Errorf("it is less than rootless:\n%s", out)
	}
	if id := w.pushed(t, ref)["id"]; id != "0\n" {
		t.Errorf("RUN was user %q", id)
	}
}

// TestImageHasShell holds the two images to what runners of CI systems find in them.
func TestImageHasShell(t *testing.T) {
	w := newWorld(t)
	out := w.docker(t, "--entrypoint", "", w.images["debug"], "sh", "-c", "which sh gbuild executor git ssh && test -x /busybox/sh && /kaniko/executor version && mktemp")
	for _, word := range []string{"/busybox/sh\n", "/.gbuild/bin/gbuild\n", "/.gbuild/bin/executor\n", "/.gbuild/bin/git\n", "/.gbuild/bin/ssh\n", "/.gbuild/tmp/"} {
		if !strings.Contains(out, word) {
			t.Errorf("there is no %s in\n%s", word, out)
		}
	}
	if err := exec.Command("docker", "run", "--rm", "--network", "host", "--entrypoint", "sh", w.images["gbuild"], "-c", "true").Run(); err == nil {
		t.Error("the image without a shell has one")
	}
}

// TestImageFetchesByGit builds contexts that git fetches, with the git and the ssh of the image: over http, over https with
// a certificate of one's own, over ssh with a key, and with a submodule.
func TestImageFetchesByGit(t *testing.T) {
	w := newWorld(t)
	dir := w.project(t, map[string]string{"src/Dockerfile": "FROM scratch\nCOPY . /files/\n", "sub/inner": "inner"})
	for _, line := range []string{
		"git init -q -b main sub", "git -C sub add .", "git -C sub commit -q -m sub", "git clone -q --bare sub served/sub.git",
		"git init -q -b main src", "git -C src add .", "git -C src commit -q -m one", "git clone -q --bare src served/plain.git",
	} {
		command(t, dir, line)
	}
	handler, err := testimage.GitOverHTTP(filepath.Join(dir, "served"))
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	keys, err := testimage.NewGitOverSSH(filepath.Join(dir, "served"), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	command(t, dir, "git -C src -c protocol.allow=always submodule --quiet add "+plain.URL+"/sub.git inner")
	command(t, dir, "git -C src commit -q -m two")
	command(t, dir, "git clone -q --bare src served/with.git")
	writeFiles(t, dir, map[string]string{"ssh/id_ed25519": string(keys.Key), "ssh/known_hosts": keys.Known + "\n", "ca.pem": pemOf(secure.Certificate())})
	if err := os.Chmod(filepath.Join(dir, "ssh/id_ed25519"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options []string
		url     string
		want    []string
	}{
		"http":      {nil, plain.URL + "/plain.git", []string{"files/Dockerfile"}},
		"https":     {[]string{"--volume", dir + "/ca.pem:/ca.pem:ro", "--env", "GIT_SSL_CAINFO=/ca.pem"}, secure.URL + "/plain.git", []string{"files/Dockerfile"}},
		"ssh":       {[]string{"--volume", dir + "/ssh:/root/.ssh:ro"}, "ssh://git@" + keys.Address + "/plain.git", []string{"files/Dockerfile"}},
		"submodule": {nil, plain.URL + "/with.git", []string{"files/.gitmodules", "files/Dockerfile", "files/inner/inner"}},
	} {
		t.Run(name, func(t *testing.T) {
			ref := w.ref(t)
			w.docker(t, append(c.options, w.images["gbuild"], "build", "--push", "-t", ref, c.url)...)
			if got := slices.Sorted(maps.Keys(w.pushed(t, ref))); !slices.Equal(got, c.want) {
				t.Errorf("the image has %v, not %v", got, c.want)
			}
		})
	}
	// A certificate that nobody vouches for is refused.
	out, err := exec.Command("docker", "run", "--rm", "--network", "host", w.images["gbuild"], "build", secure.URL+"/plain.git").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "certificate") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestImageTakesCertificates fetches a context of which an authority of one's own vouches, that is put where pipelines put it.
func TestImageTakesCertificates(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		const text = "FROM scratch\nCOPY . /\n"
		archive := tar.NewWriter(rw)
		_ = archive.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(text))})
		_, _ = io.WriteString(archive, text)
		_ = archive.Close()
	}))
	t.Cleanup(server.Close)
	dir := w.project(t, map[string]string{"ca.pem": pemOf(server.Certificate())})
	url := server.URL + "/context.tar"
	w.docker(t, "--volume", dir+"/ca.pem:/kaniko/ssl/certs/additional-ca-cert-bundle.crt:ro", w.images["gbuild"], "build", "-t", "one", url)
	w.docker(t, "--volume", dir+":/ca:ro", "--entrypoint", "", w.images["debug"], "sh", "-c", "cat /ca/ca.pem >>/kaniko/ssl/certs/ca-certificates.crt && gbuild build -t one "+url)
	if out, err := exec.Command("docker", "run", "--rm", "--network", "host", w.images["gbuild"], "build", url).CombinedOutput(); err == nil || !strings.Contains(string(out), "certificate") {
		t.Errorf("without it: %v: %s", err, out)
	}
}

// TestImageBuildsInPlace executes RUNs in a container that has nothing but the Engine's defaults, twice. The image's own users make room
// for those of the base, and are there again afterwards.
func TestImageBuildsInPlace(t *testing.T) {
	w := newWorld(t)
	dir := w.project(t, map[string]string{"Dockerfile": "FROM " + w.base + "\nRUN awk -F: '$3 == 1000 {print $1}' /etc/passwd >/name; echo new:x:7:7::/:/bin/sh >>/etc/passwd\nUSER new\nRUN id -u >/tmp/id\n"})
	first, second := w.ref(t), w.ref(t)
	out := w.docker(t, "--entrypoint", "", "--volume", dir+":/project:ro", "--workdir", "/project", w.images["debug"], "sh", "-c",
		"before=$(cat /etc/passwd) && gbuild build --push -t "+first+" . && gbuild build --no-cache --push -t "+second+` . && test "$(cat /etc/passwd)" = "$before"`)
	if !strings.Contains(out, "isolation inplace") {
		t.Errorf("it is not in place:\n%s", out)
	}
	files := w.pushed(t, first)
	if files["name"] != "app\n" || files["tmp/id"] != "7\n" || !strings.Contains(files["etc/passwd"], "app:x:1000") || strings.Contains(files["etc/passwd"], "gbuild") {
		t.Errorf("the image has %q", files)
	}
	if again := w.pushed(t, second); !maps.Equal(files, again) {
		t.Errorf("the second build has %q\nthe first %q", again, files)
	}
}
