package remote

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
)

func TestParseGitRemote(t *testing.T) {
	for address, want := range map[string]string{
		"https://Host/r.git":            "https Host https://Host/r.git",
		"https://u:p@host:8443/r.git":   "https host:8443 https://host:8443/r.git",
		"https://t%40k@host/r.git":      "https host https://host/r.git",
		"ssh://git:pw@host:22/r.git":    "ssh host:22 ssh://git@host:22/r.git",
		"git@host:a/b.git":              "ssh host git@host:a/b.git",
		"host:a/b.git":                  "ssh host host:a/b.git",
		"git@[::1]:a/b.git":             "ssh [::1] git@[::1]:a/b.git",
		"git://host/r.git":              "git host git://host/r.git",
		"https://[::1]:1/r.git":         "https [::1]:1 https://[::1]:1/r.git",
		"https://u:p@evil@host/r.git":   "https host https://host/r.git",
		"https://a\\@host/r.git":        "",
		"https://host\\@other/r.git":    "",
		"https://host%00.x/r.git":       "",
		"ssh://-oX@host/r.git":          "",
		"ssh://a b@host/r.git":          "",
		"ssh://host -oX/r.git":          "",
		"git@host:a\nb":                 "",
		"https://host/a%0ab/r.git":      "",
		"ssh://host/a%0ab":              "",
		"/abs":                          "",
		"rel/ative":                     "",
		"../up.git":                     "",
		"":                              "",
		"a::b":                          "",
		"ext::sh":                       "",
		"file:///x":                     "",
		"file://host/x":                 "",
		"rsync://h/x":                   "",
		"fd::17":                        "",
		"-u./x":                         "",
		"--upload-pack=x":               "",
		"-oProxyCommand=x@h:repo.git":   "",
		"git@-oProxyCommand=x:repo.git": "",
		"ssh://-oProxyCommand=x/r.git":  "",
		"https://-x/repo.git":           "",
		"ftp://h/repo.git":              "",
		"http:///repo.git":              "",
		"http::https://h/repo.git":      "",
		"bundle.git":                    "",
		"FILE:///x":                     "",
		"git+ssh://h/x":                 "",
		"https:host/x":                  "ssh https https:host/x", // as git itself reads it; BuildKit's parser refuses it first
		"https://host/r.git?x=1#f":      "https host https://host/r.git?x=1",
		"HTTPS://host/r.git":            "https host https://host/r.git",
	} {
		r, err := parseGitRemote(address)
		got := ""
		if err == nil {
			got = r.scheme + " " + r.host + " " + r.address
		}
		if !strings.EqualFold(got, want) || strings.Contains(fmt.Sprint(err), "pw") {
			t.Errorf("%q is %q, %v; want %q", address, got, err, want)
		}
	}
}

func TestFindTip(t *testing.T) {
	one := strings.Repeat("1", 40)
	for listed, want := range map[string]string{
		"":               "<nil>",
		one + "\tHEAD\n": "HEAD",
		"ref: refs/heads/a\tHEAD\n" + one + "\tHEAD\n":      "refs/heads/a",
		"ref: --upload-pack=x\tHEAD\n" + one + "\tHEAD\n":   "HEAD",
		"ref: refs/heads/-x\tHEAD\n" + "short\tHEAD\n":      "<nil>",
		"no tab at all\n" + one + "\trefs/remotes/o/HEAD\n": "<nil>",
	} {
		tip, got := findTip(listed, ""), "<nil>"
		if tip != nil {
			got = fmt.Sprint(tip.ref)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", listed, got, want)
		}
	}
}

func TestHostileGitReferences(t *testing.T) {
	for _, spec := range []string{"ext::sh -c touch% x", "file:///etc", "fd::17", "-u", "--upload-pack=x", "https://-oProxyCommand=x/r.git", "ssh://-oProxyCommand=x/r.git"} {
		ref, _, err := dfgitutil.ParseGitRef(spec)
		if err != nil {
			continue
		}
		if g, err := NewGitSource(ref, nil, ""); err == nil {
			t.Errorf("%s is taken for %+v", spec, g)
		}
	}
	for _, ref := range []string{"-x", "a..b", "a b", "a\x01", "a:b", "x.lock", "a@{1}", "^a", "/a", "a/"} {
		if validRef(ref) {
			t.Errorf("%q is taken for a ref", ref)
		}
	}
}
