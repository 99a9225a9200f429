package kaniko

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
)

// parse makes options of a command line, in an environment of NAME=VALUE.
func parse(t *testing.T, line string, environ ...string) (*building.Options, *cli.App, *Line, error) {
	t.Helper()
	lookup := func(name string) (string, bool) {
		for _, v := range environ {
			if n, value, _ := strings.Cut(v, "="); n == name {
				return value, true
			}
		}
		return "", false
	}
	a := cli.New(lookup, nil, cli.Handed{})
	l, flags := NewLine(), pflag.NewFlagSet("executor", pflag.ContinueOnError)
	l.Register(flags)
	if err := flags.Parse(strings.Fields(line)); err != nil {
		return nil, a, l, err
	}
	if err := l.complete(flags, lookup); err != nil {
		return nil, a, l, err
	}
	o, err := l.options(a)
	return o, a, l, err
}

// TestFlagsAreKanikos compares the table with what the help of kaniko 1.24 lists, and with what its hidden flags are.
func TestFlagsAreKanikos(t *testing.T) {
	text, err := os.ReadFile("testdata/flags")
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("executor", pflag.ContinueOnError)
	NewLine().Register(flags)
	otherwise := map[string]string{"ignore-var-run": "false"} // wanted: it is for what is mounted there, which is known here
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		short, standard, _ := strings.Cut(rest, " ")
		if ours, differs := otherwise[name]; differs {
			standard = ours
		}
		f := flags.Lookup(name)
		same := f != nil && (f.DefValue == standard || standard == "" && (f.DefValue == "false" || f.DefValue == "0"))
		if !same || f.Shorthand != strings.Trim(short, "-") {
			t.Errorf("--%s is missing or differs: %+v, want %s, default %q", name, f, short, standard)
		}
	}
	groups := append(slices.Clone(groups), "")
	for _, f := range NewLine().Flags() {
		if !slices.Contains(groups, f.Group) || f.Does == "" {
			t.Errorf("--%s has no group, or does nothing that could be said", f.Name)
		}
	}
}

// TestDocsTable holds docs/from-kaniko.md against the table: a row for each flag that is listed, with the same words.
func TestDocsTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-kaniko.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(--[^`]*)` \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, m[1]+": "+strings.ReplaceAll(m[2], `\|`, "|"))
	}
	for _, f := range NewLine().Flags() {
		if !f.hidden {
			want = append(want, "--"+f.Name+": "+f.Does)
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("docs/from-kaniko.md differs from the table of flags (-table +page):\n%s", diff)
	}
}

func TestLines(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("Dockerfile", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const d = " -d r.example/a"
	for line, want := range map[string]func(*building.Options){
		"--no-push -c /x": func(o *building.Options) {
			o.Source.FileHere, o.Outputs.Outputs = true, []string{"type=cacheonly"}
		},
		"--no-push -c .": func(o *building.Options) {
			o.Source.Context, o.Outputs.Outputs = ".", []string{"type=cacheonly"}
		},
		"-c . -f sub/Dockerfile" + d: func(o *building.Options) {
			o.Source.Context, o.Source.File = ".", "sub/Dockerfile"
		},
		"-c . -f /sub/Dockerfile" + d: func(o *building.Options) {
			o.Source.Context, o.Source.File = ".", "sub/Dockerfile"
		},
		"-c . -f https://h.example/Dockerfile" + d: func(o *building.Options) {
			o.Source.Context, o.Source.File = ".", "https://h.example/Dockerfile"
		},
		"-c . --target=t --customPlatform=linux/arm64 --build-arg=A --build-arg=B=2 --build-arg=NONE --label=l=1 --skip-unused-stages" + d: func(o *building.Options) {
			o.Source.Context, o.Source.Target, o.Source.Platform, o.Source.EveryStage = ".", "t", "linux/arm64", false
			o.Source.Args, o.Source.Labels = []string{"A=given", "B=2", "NONE="}, []string{"l=1"}
		},
		"-c . --reproducible --single-snapshot --compression=zstd --compression-level=7 --image-format=docker" + d: func(o *building.Options) {
			o.Source.Context, o.Source.Epoch = ".", "0"
			o.Outputs.Layers, o.Outputs.Compression.Algorithm, o.Outputs.Compression.Level = "squash", "zstd", "7"
			o.Outputs.Outputs = []string{"type=registry,oci-mediatypes=false"}
		},
		"-c . --tarPath=a,b.tar --oci-layout-path=out --no-push": func(o *building.Options) {
			o.Source.Context = "."
			o.Outputs.Outputs = []string{"type=oci,tar=false,index=single,dest=out,oci-mediatypes=true", `type=docker,"dest=a,b.tar",name=` + unnamed}
		},
		"-c . --cache" + d: func(o *building.Options) {
			o.Source.Context, o.Caches.MaxAge = ".", 14*24*time.Hour
			o.Caches.From, o.Caches.To = []string{"type=registry,ref=r.example/a/cache"}, []string{"type=registry,ref=r.example/a/cache,mode=max"}
		},
		"-c . --cache --cache-repo=oci:/l --no-push-cache --cache-ttl=6h --no-push": func(o *building.Options) {
			o.Source.Context, o.Caches.MaxAge, o.Caches.From = ".", 6*time.Hour, []string{"type=local,src=/l"}
			o.Outputs.Outputs = []string{"type=cacheonly"}
		},
		"-c . --cache --cache-repo=r.example/c --no-push --digest-file=x": func(o *building.Options) {
			o.Source.Context, o.Caches.MaxAge, o.Outputs.MayPush = ".", 14*24*time.Hour, []string{"r.example/c"}
			o.Caches.From, o.Caches.To = []string{"type=registry,ref=r.example/c"}, []string{"type=registry,ref=r.example/c,mode=max"}
		},
		"-c . --cache=false" + d:            func(o *building.Options) { o.Source.Context, o.Caches.NoCache = ".", true },
		"-c . --cache-run-layers=false" + d: func(o *building.Options) { o.Source.Context, o.Caches.NoCache = ".", true },
		"-c . -v debug --log-format=text" + d: func(o *building.Options) {
			o.Source.Context, o.Explain, o.Outputs.Progress = ".", true, "plain"
		},
		"-c . --verbosity=error --log-format=json --push-ignore-immutable-tag-errors" + d: func(o *building.Options) {
			o.Source.Context, o.Outputs.Progress, o.Outputs.IgnoreImmutable = ".", "quiet", true
		},
		"-c . --skip-push-permission-check --secret=id=a,env=A" + d: func(o *building.Options) {
			o.Source.Context, o.Outputs.MayPush, o.Steps.Credentials.Secrets = ".", nil, []string{"id=a,env=A"}
		},
		"-c git://h.example/r#refs/heads/b" + d: func(o *building.Options) {
			o.Source.Context, o.Source.FileHere = "git+https://h.example/r?keep-git-dir=true&ref=refs%2Fheads%2Fb&submodules=false", true
		},
	} {
		o, _, l, err := parse(t, line, "A=given")
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		expect := building.New()
		expect.Source = building.Source{Context: "/x", File: filepath.Join(dir, "Dockerfile"), Pull: true, EveryStage: true}
		if strings.HasSuffix(line, d) {
			expect.Outputs.Tags, expect.Outputs.MayPush = []string{"r.example/a"}, []string{"r.example/a"}
			expect.Outputs.Outputs = []string{"type=registry,oci-mediatypes=true"}
		}
		want(expect)
		if diff := cmp.Diff(expect, o, cmp.AllowUnexported(building.Outputs{}, building.Docker{}), cmp.Transformer("list", func(l cli.List) []string { return l })); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%+v", line, diff, l)
		}
	}
}

func TestRepositories(t *testing.T) {
	for _, c := range []struct{ line, environ, user, want string }{
		{"git://h.example/a/b", "", "", "git+https://h.example/a/b?keep-git-dir=true&submodules=false"},
		{"git://h.example/a.git --git=branch=b", "", "", "git+https://h.example/a.git?keep-git-dir=true&ref=b&submodules=false"},
		{"git://h.example/a#r --git=branch=b", "", "", "git+https://h.example/a?keep-git-dir=true&ref=b&submodules=false"},
		{"git://h.example/a#r#0123456 --git=recurse-submodules=1", "", "", "git+https://h.example/a?keep-git-dir=true&ref=0123456&submodules=true"},
		{"git://h.example/a#0123456789012345678901234567890123456789 --git=branch=b", "", "", "git+https://h.example/a?keep-git-dir=true&ref=0123456789012345678901234567890123456789&submodules=false"},
		{"git://h.example/a --context-sub-path=s", "GIT_PULL_METHOD=http", "", "git+http://h.example/a?keep-git-dir=true&subdir=s&submodules=false"},
		{"git://h.example/a", "GIT_TOKEN=t", "t@", "git+https://t@h.example/a?keep-git-dir=true&submodules=false"},
		{"git://t@h.example/a", "", "t@", "git+https://t@h.example/a?keep-git-dir=true&submodules=false"},
		{"git://h.example/a", "GIT_PASSWORD=t", "", "git+https://:t@h.example/a?keep-git-dir=true&submodules=false"},
	} {
		o, _, _, err := parse(t, "--no-push -c "+c.line, c.environ)
		if err != nil || o.Source.Context != c.want || o.Source.Subdir != "" {
			t.Errorf("%s: %v\n%+v", c.line, err, o)
		}
	}
}

func TestRegistries(t *testing.T) {
	for _, c := range []struct {
		line, environ        string
		insecure, unverified bool
		hosts                map[string]image.Host
		mirrors              []image.Mirror
	}{
		{line: "", hosts: map[string]image.Host{"r.example": {}}},
		{line: "--insecure", hosts: map[string]image.Host{"r.example": {Insecure: true}}},
		{line: "--insecure-pull", insecure: true, hosts: map[string]image.Host{"r.example": {}}},
		{line: "--insecure-registry=r.example --insecure-registry=o.example:5000",
			hosts: map[string]image.Host{"r.example": {Insecure: true}, "o.example:5000": {Insecure: true}}},
		{line: "--skip-tls-verify", unverified: true, hosts: map[string]image.Host{"r.example": {Unverified: true}}},
		{line: "--skip-tls-verify-pull --skip-tls-verify-registry=r.example", unverified: true, hosts: map[string]image.Host{"r.example": {Unverified: true}}},
		{line: "--cache --cache-repo=c.example/c --insecure", hosts: map[string]image.Host{"r.example": {Insecure: true}, "c.example": {Insecure: true}}},
		{line: "--registry-certificate=o.example=/ca --registry-client-cert=o.example=/c,/k", hosts: map[string]image.Host{"r.example": {}, "o.example": {CA: "/ca", Cert: "/c", Key: "/k"}}},
		{line: "--registry-mirror=m.example/hub --insecure-pull", environ: "KANIKO_REGISTRY_MIRROR=n.example", insecure: true,
			hosts:   map[string]image.Host{"r.example": {}, "m.example": {Insecure: true}, "n.example": {Insecure: true}},
			mirrors: []image.Mirror{{Of: "docker.io", Host: "m.example", Path: "hub"}, {Of: "docker.io", Host: "n.example"}}},
		{line: "--registry-map=index.docker.io=m.example/hub;o.example=m.example/o", environ: "KANIKO_REGISTRY_MAP=p.example=n.example",
			hosts:   map[string]image.Host{"r.example": {}, "m.example": {}, "n.example": {}},
			mirrors: []image.Mirror{{Of: "docker.io", Host: "m.example", Path: "hub"}, {Of: "o.example", Host: "m.example", Path: "o"}, {Of: "p.example", Host: "n.example"}}},
	} {
		_, a, _, err := parse(t, "-c . -d r.example/a "+c.line, c.environ)
		r := &a.Registries
		if err != nil || r.Insecure != c.insecure || r.Unverified != c.unverified {
			t.Errorf("%s: %v, insecure %t, unverified %t", c.line, err, r.Insecure, r.Unverified)
			continue
		}
		if diff := cmp.Diff(c.hosts, r.Hosts) + cmp.Diff(c.mirrors, r.Mirrors); diff != "" {
			t.Errorf("%s: %s", c.line, diff)
		}
	}
	for _, bad := range []string{"--registry-map=a", "--registry-certificate=a", "--registry-client-cert=a=b", "--registry-client-cert=a=b,c,d", "--registry-mirror=ftp://m"} {
		if _, _, _, err := parse(t, "-c . -d r.example/a "+bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		"":                   "no --destination",
		"-d UPPER.example/A": "upper case",
		"-d a --context=":    "--context is empty",
		"-d a -c https://x.blob.core.windows.net/c/t.tar.gz": "opens no buckets",
		"-d a -c azblob://c/t.tar.gz":                        "opens no buckets",
		"-d a --target=x --target=y":                         "2 times",
		"-d a --compression=xz":                              "one of gzip, zstd",
		"-d a --verbosity=loud":                              "one of trace",
		"--no-push --image-name-tag-with-digest-file=x":      "no --destination",
	} {
		_, _, _, err := parse(t, line, "AZURE_STORAGE_ACCESS_KEY=key")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, _, _, err := parse(t, "--no-push -c https://x.blob.core.windows.net/c/t.tar.gz?sig=x"); err != nil {
		t.Errorf("a signed address: %v", err)
	}
}
