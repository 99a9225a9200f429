package files

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/remote"
)

// makeRefs makes a repository whose refs are easily taken for one another; every commit has a file "is" with a name of
// its own. The object format is its argument.
const makeRefs = `
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1100000000 +0000' GIT_COMMITTER_DATE='1100000000 +0000'
git init -q -b main --object-format=$FORMAT w; cd w; git config user.name t; git config user.email t@example.org
commit() { mkdir -p dir; echo $1 >is; echo $1 >dir/is; git add .; git commit -qm $1; }
commit annotated; git tag -a -m v1 v1
commit light; git tag light
commit tag-both; git tag both; git tag -a -m x x/tag
commit branch-both; git branch both
commit pull; git update-ref refs/pull/7/head HEAD; git update-ref refs/heads/pull/7/head v1^{commit}
commit branch-x; git branch x
commit branch-heads-x; git update-ref refs/heads/heads/x HEAD; git update-ref refs/heads/tags/light HEAD
commit own; git update-ref refs/own HEAD; git branch own main~1
commit hidden; git update-ref refs/hidden HEAD; git reset -q --hard HEAD~1
commit main
cd ..; git clone -q --mirror w $FORMAT.git; git -C $FORMAT.git config uploadpack.allowAnySHA1InWant true
rm -r w
`

func (b *copyBench) makeRefs(dir, format string) {
	b.Helper()
	b.shellIn(dir, "FORMAT="+format+"; "+makeRefs)
}

func revParse(t *testing.T, repository, rev string) string {
	t.Helper()
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", repository, "rev-parse", rev).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestGitRefs holds what a ref means to the rules of BuildKit's source/git and dfgitutil: what is called so below refs/
// comes before branches, branches before tags; a checksum is that of the commit or of an annotated tag.
func TestGitRefs(t *testing.T) {
	b := newCopyBench(t)
	dir, server := gitServer(t)
	b.makeRefs(dir, "sha1")
	address, repository := server+"/sha1.git", filepath.Join(dir, "sha1.git")
	id := func(rev string) string { return revParse(t, repository, rev) }
	commit, object, light, pull := id("v1^{commit}"), id("refs/tags/v1"), id("light"), id("refs/pull/7/head")
	for _, test := range []struct{ form, want string }{
		{"", "main"},
		{"#main", "main"},
		{"#HEAD", "main"},
		{"#refs/heads/main", "main"},
		{"#heads/main", "main"},
		{"#v1", "annotated"},
		{"#tags/v1", "annotated"},
		{"#refs/tags/v1", "annotated"},
		{"#light", "light"},
		{"#tags/light", "light"}, // not the branch refs/heads/tags/light
		{"#refs/heads/tags/light", "branch-heads-x"},
		{"#both", "branch-both"},
		{"#heads/both", "branch-both"},
		{"#tags/both", "tag-both"},
		{"#refs/tags/both", "tag-both"},
		{"?tag=both", "tag-both"},
		{"?branch=both", "branch-both"},
		{"?tag=refs/tags/both", "tag-both"},
		{"?branch=refs/heads/both", "branch-both"},
		{"?ref=both", "branch-both"},
		{"?ref=refs/tags/both", "tag-both"},
		{"?ref=both&branch=both", "ref conflicts"},
		{"?tag=both&branch=both", "branch conflicts with tag"},
		{"?ref=v1#v1", "annotated"},
		{"?ref=v1#main", "ref conflicts"},
		{"#pull/7/head", "pull"}, // not the branch of that name
		{"#refs/pull/7/head", "pull"},
		{"?ref=refs/pull/7/head", "pull"},
		{"?branch=pull/7/head", "annotated"},
		{"#x", "branch-x"},
		{"#heads/x", "branch-x"}, // not refs/heads/heads/x
		{"#refs/heads/x", "branch-x"},
		{"#x/tag", "tag-both"},
		{"#own", "own"}, // refs/own, not the branch
		{"#refs/own", "own"},
		{"?branch=own", "branch-heads-x"},
		{"#" + commit, "annotated"},
		{"#" + object, "annotated"},
		{"?commit=" + commit, "--checksum wants"},
		{"?ref=" + commit, "annotated"},
		{"?ref=" + commit + "&commit=" + commit[:9], "annotated"},
		{"#" + commit[:7], "no ref"},
		{"#" + strings.ToUpper(commit), "no ref"},
		{"#" + id("refs/hidden"), "hidden"},
		{"?subdir=dir#v1:other", "subdir conflicts"},
		{"?ref=v1&checksum=" + commit, "annotated"},
		{"?ref=v1&checksum=" + object, "annotated"},
		{"?ref=v1&checksum=" + object[:12], "annotated"},
		{"?tag=v1&commit=" + commit[:12], "annotated"},
		{"?ref=refs/tags/v1&checksum=" + commit, "annotated"},
		{"?ref=v1&checksum=" + light, "--checksum wants"},
		{"?ref=both&checksum=" + id("refs/tags/both"), "--checksum wants"},
		{"?ref=" + commit + "&checksum=" + light, "--checksum wants"},
		{"?ref=v1&checksum=xyz", "hex digits"},
		{"?fetch-by-commit=true&checksum=" + pull, "pull"},
		{"?fetch-by-commit=true&ref=anything&checksum=" + pull, "pull"},
		{"?fetch-by-commit=true&ref=" + pull, "pull"},
		{"?fetch-by-commit=true&ref=" + pull + "&checksum=" + light, "--checksum wants"},
		{"?fetch-by-commit=true&ref=main", "the whole commit"},
		{"?fetch-by-commit=true&checksum=" + pull[:9], "the whole commit"},
		{"?keep-git-dir=yes", "invalid keep-git-dir value"},
		{"?submodules=false&ref=v1", "annotated"},
		{"?mtime=commit&ref=v1", "annotated"},
		{"?nonsense=1", "unexpected query"},
		{"?ref=", "has no value"},
		{"?ref=a&ref=b", "multiple values"},
		{"#nosuch", "no ref"},
		{"#v*", "no git ref"},
	} {
		got := resolvedTo(t, repository, address+test.form)
		if isText := strings.Contains(test.want, " "); got != test.want && !(isText && strings.Contains(got, test.want)) {
			t.Errorf("%s is %s, want %s", test.form, got, test.want)
		}
	}
}

func TestAddGitRefs(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) { testAddGitRefs(t, format) })
	}
}

func testAddGitRefs(t *testing.T, format string) {
	b := newCopyBench(t)
	dir, server := gitServer(t)
	b.makeRefs(dir, format)
	address, repository := server+"/"+format+".git", filepath.Join(dir, format+".git")
	id := func(rev string) string { return revParse(t, repository, rev) }
	object, pull := id("refs/tags/v1"), id("refs/pull/7/head")
	for form, want := range map[string]string{
		"": "main", "#v1": "annotated", "#" + object: "annotated", "#" + id("refs/hidden"): "hidden", "#pull/7/head": "pull", "#own": "own",
		"#v1:dir": "annotated", "?ref=v1&subdir=/dir/": "annotated", "?subdir=dir#v1": "annotated", "#:dir": "main", "#v1:nodir": "no directory",
		"?fetch-by-commit=true&ref=anything&checksum=" + pull: "pull",
	} {
		if got := b.addedIs(address + form); !strings.Contains(got, want) {
			t.Errorf("ADD of %s is %s, want %s", form, got, want)
		}
	}
}

// resolvedTo returns the commit that a source is, by the name that it has in its title, or the error.
func resolvedTo(t *testing.T, repository, source string) string {
	t.Helper()
	r, err := parseRemote(&dockerfile.Copy{Add: true}, source)
	if err == nil {
		var identity []string
		if identity, err = r.git.Identity(t.Context(), remote.Fetcher{LocalNetwork: true}); err == nil {
			out, err := exec.Command("git", "-c", "safe.directory=*", "-C", repository, "log", "-1", "--format=%s", identity[1]).Output()
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(out))
		}
	}
	return "error: " + err.Error()
}

// read returns the text of a file of the state, without the end of its line.
func (b *copyBench) read(name string) string {
	b.Helper()
	data, err := os.ReadFile(b.file(name))
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// addedIs adds a repository and says what its file "is" says, or the error.
func (b *copyBench) addedIs(source string) string {
	b.Helper()
	b.parent = layers.Key{}
	if _, err := b.tryAdd(remote.Fetcher{Fetched: remote.NewFetched()}, copyStep(source, "/")); err != nil {
		return "error: " + err.Error()
	}
	return b.read("/is")
}

func TestGitChecksumIsLookedAtEachTime(t *testing.T) {
	b := newCopyBench(t)
	dir, server := gitServer(t)
	b.makeRefs(dir, "sha1")
	o := remote.Fetcher{Fetched: remote.NewFetched()}
	if _, err := b.tryAdd(o, copyStep(server+"/sha1.git#v1", "/a/")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.tryAdd(o, copyStep(server+"/sha1.git?ref=v1&checksum="+strings.Repeat("0", 40), "/b/")); err == nil {
		t.Error("the checksum of a ref that was resolved before was not looked at")
	}
}

// A .git that is kept has the tag that was asked for, and nothing of when and by whom it was fetched.
func TestKeptGitDirectory(t *testing.T) {
	b := newCopyBench(t)
	dir, server := gitServer(t)
	b.makeRefs(dir, "sha1")
	if _, err := b.tryAdd(remote.Fetcher{}, copyStep(server+"/sha1.git?ref=v1&keep-git-dir=true", "/")); err != nil {
		t.Fatal(err)
	}
	v, _ := b.store.View(b.parent)
	for name, want := range map[string]bool{"refs/tags/v1": true, "FETCH_HEAD": false, "logs": false, "hooks": false, "config": true} {
		if _, err := v.Lstat("/.git/" + name); (err == nil) != want {
			t.Errorf(".git/%s: %v", name, err)
		}
	}
	if got := b.read("/.git/refs/tags/v1"); got != revParse(t, filepath.Join(dir, "sha1.git"), "refs/tags/v1") {
		t.Errorf("the tag is %q", got)
	}
}
