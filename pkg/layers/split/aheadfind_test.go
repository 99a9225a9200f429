package split

import (
	"archive/zip"
	"os"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/testtree"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// The directory of an archive is read into memory, so it is bounded.
func TestOpenWheel(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/x.whl")
	testtree.Check(t, err)
	defer f.Close()
	z := zip.NewWriter(f)
	comment := strings.Repeat("x", 1<<16-1)
	for range maxList>>16 + 2 {
		_, err := z.CreateHeader(&zip.FileHeader{Name: "a", Comment: comment})
		testtree.Check(t, err)
	}
	testtree.Check(t, z.Close())
	if _, err := openWheel(f); err == nil {
		t.Error("a directory of more than maxList was read")
	}
}

// oneInstalled oneInstalled the distribution a as pip does, with one large file and a link to it.
const oneInstalled = `umask 022; mkdir -p lib/python3/site-packages/a-1.dist-info && cd lib/python3/site-packages && mkdir -p a
	head -c 2m /dev/urandom >a/lib.so && ln -s lib.so a/so && echo pip >a-1.dist-info/INSTALLER
	printf "a/lib.so,,\na/so,,\na-1.dist-info/RECORD,,\na-1.dist-info/INSTALLER,,\n" >a-1.dist-info/RECORD`

// Links, pipes and lists of a hostile step lead nowhere, and nothing waits for them.
func TestAheadFinder(t *testing.T) {
	secret := t.TempDir()
	testtree.Write(t, secret+"/secret.whl", strings.Repeat("x", codec.WholeFrom))
	for name, text := range map[string]string{
		"a link for a prefix":    "mv lib " + secret + "/lib; ln -s " + secret + "/lib lib",
		"a link for a directory": "cd lib/python3/site-packages; mv a " + secret + "/a; ln -s " + secret + "/a a",
		"a link to the host":     "cd lib/python3/site-packages; ln -s " + secret + " s; echo s/secret.whl,, >>a-1.dist-info/RECORD",
		"the files of the host":  "cd lib/python3/site-packages; echo ../../../../../../../.." + secret + "/secret.whl,, >>a-1.dist-info/RECORD",
		"a link for a list":      "cd lib/python3/site-packages/a-1.dist-info; mv RECORD r; ln -s r RECORD",
		"a pipe for a list":      "cd lib/python3/site-packages/a-1.dist-info; rm RECORD; mkfifo RECORD",
		"a link for a file":      "cd lib/python3/site-packages/a; rm lib.so; ln -s " + secret + "/secret.whl lib.so",
		"a small file":           "truncate -s 2000000 lib/python3/site-packages/a/lib.so",
		"a file that is missing": "rm lib/python3/site-packages/a/lib.so",
		"the list of a wheel":    "cd lib/python3/site-packages/a-1.dist-info; grep -v INSTALLER RECORD >r; mv r RECORD",
		"a link for a wheel":     "rm -r lib; mkdir -p tmp/pip-unpack-1; ln -s " + secret + "/secret.whl tmp/pip-unpack-1",
		"a pipe for a wheel":     "rm -r lib; mkdir -p tmp/pip-unpack-1; mkfifo tmp/pip-unpack-1/a-1-any.whl",
		"a link for wheels":      "rm -r lib; mkdir tmp; ln -s " + secret + " tmp/pip-unpack-1",
	} {
		dir := t.TempDir()
		testtree.Script(t, dir, oneInstalled)
		if got := foundAhead(t, dir); got != "a 1: /lib/python3/site-packages/a/lib.so" {
			t.Fatalf("found %q", got)
		}
		testtree.Script(t, dir, text)
		if got := foundAhead(t, dir); got != "" {
			t.Errorf("%s: found %q", name, got)
		}
		testtree.Script(t, secret, "rm -rf lib a")
	}
	dir := t.TempDir()
	testtree.Script(t, dir, "mkdir -p tmp/pip-unpack-1 tmp/other; echo >tmp/pip-unpack-1/big_a-1.0.0-py3-none-any.whl; echo >tmp/other/x.whl")
	if got := foundAhead(t, dir); got != "big_a 1.0.0: /tmp/pip-unpack-1/big_a-1.0.0-py3-none-any.whl" {
		t.Errorf("found %q", got)
	}
}

func foundAhead(t *testing.T, dir string) string {
	root, err := os.Open(dir)
	testtree.Check(t, err)
	f := newAheadFinder(root, []string{"/"})
	defer f.close()
	var found []string
	for range 2 {
		for file := range f.look() {
			opened, err := f.openFile(file.path)
			if err != nil {
				continue
			}
			opened.Close()
			found = append(found, file.distribution+": "+file.path)
		}
	}
	return strings.Join(found, " ")
}
