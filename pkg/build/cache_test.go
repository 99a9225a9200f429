package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/gbuild/gbuild/internal/testimage"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
)

// setting is what a build sees: tests change it between two builds.
type setting struct {
	*bench
	text    string
	secrets map[string]Secret
	image   v1.Image // whatever is fetched
	named   string   // the directory of the context "other"
}

func (s *setting) run() *Result {
	s.Helper()
	s.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return s.image, nil }
	return s.build(s.text, func(r *Request) {
		r.Secrets = s.secrets
		r.Named = func(ctx context.Context, _ string) (*files.Context, error) {
			return files.OpenContext(ctx, s.named, files.ContextOptions{Dockerfile: "-"})
		}
	})
}

func (s *setting) replace(old, new string) {
	s.Helper()
	if !strings.Contains(s.text, old) {
		s.Fatalf("%q is not in %q", old, s.text)
	}
	s.text = strings.Replace(s.text, old, new, 1)
}

func (s *setting) other(name, text string) {
	s.Helper()
	if s.named == "" {
		s.named = s.T.TempDir()
	}
	if err := os.WriteFile(filepath.Join(s.named, name), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
}

// withFile returns an image of one file.
func withFile(t *testing.T, name, text string) v1.Image {
	t.Helper()
	image, err := testimage.Append(empty.Image, testimage.File{Name: name, Body: text})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// A change that can change the result must run the step again, and only what depends on it.
func TestNoStaleHits(t *testing.T) {
	const last = "\nRUN write z last\n"
	tests := []struct {
		name, text string
		change     func(s *setting)
		ran        string // after the change, with commas
	}{
		{"heredoc", "FROM scratch\nRUN <<E\nwrite a 1\nE" + last, func(s *setting) { s.replace("a 1", "a 2") }, "write a 2\n,write z last"},
		{"script of a heredoc", "FROM scratch\nRUN <<E\n#!/bin/x\n1\nE" + last, func(s *setting) { s.replace("\n1", "\n2") }, "/dev/pipes/E,write z last"},
		{"heredoc of COPY", "FROM scratch\nCOPY <<E /f\n1\nE" + last, func(s *setting) { s.replace("\n1", "\n2") }, "write z last"},
		{"name of a heredoc", "FROM scratch\nCOPY <<E /d/\n1\nE" + last, func(s *setting) { s.replace("<<E /d/\n1\nE", "<<F /d/\n1\nF") }, "write z last"},
		{"bind of the context", "FROM scratch\nRUN --mount=target=/m mount dir/f" + last, func(s *setting) { s.file("dir/f", "2") }, "mount dir/f,write z last"},
		{"bind of a directory", "FROM scratch\nRUN --mount=target=/m,source=dir mount f" + last, func(s *setting) { s.file("dir/new", "2") }, "mount f,write z last"},
		{"bind of a stage", "FROM scratch AS one\nRUN write x/f 1\nFROM scratch\nRUN --mount=from=one,source=x,target=/m mount f" + last,
			func(s *setting) { s.replace("x/f 1", "x/f 2") }, "write x/f 2,mount f,write z last"},
		{"bind of an image", "FROM scratch\nRUN --mount=from=img,target=/m mount f" + last, func(s *setting) { s.image = withFile(s.T, "f", "2") }, "mount f,write z last"},
		{"bind of a named context", "FROM scratch\nRUN --mount=from=other,target=/m mount f" + last, func(s *setting) { s.other("f", "2") }, "mount f,write z last"},
		{"copy from an image", "FROM scratch\nCOPY --from=img /f /f" + last, func(s *setting) { s.image = withFile(s.T, "f", "2") }, "write z last"},
		{"copy from a named context", "FROM scratch\nCOPY --from=other /f /f" + last, func(s *setting) { s.other("f", "2") }, "write z last"},
		{"base image", "FROM img" + last, func(s *setting) { s.image = withFile(s.T, "f", "2") }, "write z last"},
		{"base stage", "FROM scratch AS one\nRUN write x 1\nFROM one" + last, func(s *setting) { s.replace("x 1", "x 2") }, "write x 2,write z last"},
		{"workdir", "FROM scratch\nWORKDIR /a" + last, func(s *setting) { s.replace("/a", "/b") }, "write z last"},
		{"user", "FROM scratch\nUSER 1:1" + last, func(s *setting) { s.replace("1:1", "1:2") }, "write z last"},
		{"shell", "FROM scratch\nSHELL [\"a\"]" + last, func(s *setting) { s.replace("[\"a\"]", "[\"b\"]") }, "write z last"},
		{"environment", "FROM scratch\nENV A=1" + last, func(s *setting) { s.replace("A=1", "A=2") }, "write z last"},
		{"declared argument", "FROM scratch\nARG A=1" + last, func(s *setting) { s.options.Args = map[string]string{"A": "2"} }, "write z last"},
		{"excluded files", "FROM scratch\nCOPY --exclude=f dir /d" + last, func(s *setting) { s.replace("=f", "=g") }, "write z last"},
		{"ignored files", "FROM scratch\nCOPY dir /d" + last, func(s *setting) { s.file(".dockerignore", "dir/f") }, "write z last"},
		{"a new match", "FROM scratch\nCOPY dir/* /d/" + last, func(s *setting) { s.file("dir/g", "1") }, "write z last"},
		{"another name", "FROM scratch\nCOPY dir /d" + last, func(s *setting) {
			if err := os.Rename(filepath.Join(s.context, "dir/f"), filepath.Join(s.context, "dir/g")); err != nil {
				s.Fatal(err)
			}
		}, "write z last"},
		{"mode", "FROM scratch\nCOPY dir /d" + last, func(s *setting) {
			if err := os.Chmod(filepath.Join(s.context, "dir/f"), 0o600); err != nil {
				s.Fatal(err)
			}
		}, "write z last"},
		{"accounts", "FROM scratch\nRUN write etc/passwd a:x:5:5::/:\nCOPY --chown=a dir /d" + last, func(s *setting) { s.replace("x:5:5", "x:6:6") }, "write etc/passwd a:x:6:6::/:,write z last"},
		{"name of a secret", "FROM scratch\nRUN --mount=type=secret,id=s write z last\n", func(s *setting) { s.replace("id=s", "id=t,target=/run/secrets/s") }, "write z last"},
		{"a removed file", "FROM scratch\nRUN write x 1\nRUN remove x\nRUN absent x" + last, func(s *setting) { s.replace("RUN absent x", "RUN absent x again") }, "absent x again,write z last"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { twice(t, tt.text, tt.change, tt.ran) })
	}
}

// twice builds, changes something, builds again, and compares what ran the second time.
func twice(t *testing.T, text string, change func(*setting), ran string) {
	s := &setting{bench: newBench(t), text: text, image: withFile(t, "f", "1"), secrets: map[string]Secret{"s": {Data: []byte("1")}}}
	s.options.Contexts = map[string]string{"other": "a directory"}
	s.file("dir/f", "1")
	s.other("f", "1")
	s.run()
	change(s)
	s.run()
	if ran == "" {
		s.wantRan()
	} else {
		s.wantRan(strings.Split(ran, ",")...)
	}
}

// Where BuildKit finds a result in its cache, so does gbuild.
func TestHits(t *testing.T) {
	const text = "FROM scratch AS one\nRUN write x same\nFROM scratch AS two\nARG USED=1\nCOPY dir /d\nCOPY --from=one /x /x\nRUN --mount=type=secret,id=s write z last\nLABEL a=b\n"
	tests := map[string]func(s *setting){
		"nothing": func(s *setting) {},
		"times": func(s *setting) {
			for _, name := range []string{"dir/f", "dir"} {
				if err := os.Chtimes(filepath.Join(s.context, name), time.Now(), time.Unix(1e9, 0)); err != nil {
					s.Fatal(err)
				}
			}
		},
		"fresh clone":           func(s *setting) { s.context = s.T.TempDir(); s.file("dir/f", "1") },
		"unrelated file":        func(s *setting) { s.file("other", "1") },
		"ignored file":          func(s *setting) { s.file(".dockerignore", "dir/g"); s.file("dir/g", "1") },
		"argument not declared": func(s *setting) { s.options.Args = map[string]string{"UNUSED": "2"} },
		"argument of its value": func(s *setting) { s.options.Args = map[string]string{"USED": "1"} },
		"proxy":                 func(s *setting) { s.options.Args = map[string]string{"http_proxy": "http://p"} },
		"comment":               func(s *setting) { s.replace("COPY dir", "# why\n\nCOPY dir") },
		"form":                  func(s *setting) { s.replace("COPY dir /d", "copy  \\\n  dir \\\n /d") },
		"label":                 func(s *setting) { s.replace("a=b", "a=c") },
		"secret":                func(s *setting) { s.secrets = map[string]Secret{"s": {Data: []byte("2")}} },
		"name of a stage":       func(s *setting) { s.replace("AS one", "AS uno"); s.replace("from=one", "from=uno") },
		"later instructions":    func(s *setting) { s.replace("LABEL", "ENV late=1\nEXPOSE 1\nCMD [\"x\"]\nLABEL") },
		"order of stages": func(s *setting) {
			s.replace("FROM scratch AS one\nRUN write x same\n", "FROM scratch AS unused\nRUN fail\nFROM scratch AS one\nRUN write x same\n")
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) { twice(t, text, change, "") })
	}
	again := map[string]string{
		"copy": "FROM scratch AS one\nRUN write x same\nRUN write junk 1\nFROM scratch\nCOPY --from=one /x /x\nRUN write z last\n",
		"bind": "FROM scratch AS one\nRUN write d/x same\nRUN write junk 1\nFROM scratch\nRUN --mount=from=one,source=d,target=/m mount x\nRUN write z last\n",
	}
	for name, text := range again {
		t.Run(name+" from what was made again", func(t *testing.T) {
			twice(t, text, func(s *setting) { s.replace("junk 1", "junk 2") }, "write junk 2")
		})
	}
}

// TestCopyKeyHasEveryField is TestRunKeyHasEveryField for COPY and ADD: what the key does not have itself must be in
// the selector, which decides on the digest that the key has.
func TestCopyKeyHasEveryField(t *testing.T) {
	none := map[string]bool{"meta": true, "From": true} // From is where the digest is of
	name := func(c *dockerfile.Copy) string {
		return fmt.Sprintf("%x %q", copyKey(layers.Key{}, c, [32]byte{}, nil), selector(c))
	}
	before := name(&dockerfile.Copy{})
	for _, f := range reflect.VisibleFields(reflect.TypeFor[dockerfile.Copy]()) {
		if len(f.Index) > 1 || none[f.Name] {
			continue
		}
		changed := &dockerfile.Copy{}
		change(t, reflect.ValueOf(changed).Elem().FieldByIndex(f.Index))
		if name(changed) == before {
			t.Errorf("Copy.%s does not change the key", f.Name)
		}
	}
}

// What a step is run for and with is in its key, beside the step itself.
func TestKeysHaveTheirSurroundings(t *testing.T) {
	epoch := int64(1)
	one := layers.Key{1}
	run, cp, dir := &dockerfile.Run{}, &dockerfile.Copy{}, &dockerfile.Mkdir{}
	keys := map[layers.Key]string{}
	for name, k := range map[string]layers.Key{
		"run": runKey(layers.Key{}, run, v1.Platform{}, Limits{}, nil), "run on another state": runKey(one, run, v1.Platform{}, Limits{}, nil),
		"run elsewhere": runKey(layers.Key{}, run, v1.Platform{OS: "linux", Architecture: "arm64"}, Limits{}, nil),
		"run with shm":  runKey(layers.Key{}, run, v1.Platform{}, Limits{ShmSize: 1}, nil),
		"copy":          copyKey(layers.Key{}, cp, [32]byte{}, nil), "copy onto another state": copyKey(one, cp, [32]byte{}, nil),
		"copy of other files": copyKey(layers.Key{}, cp, [32]byte{1}, nil), "copy in time": copyKey(layers.Key{}, cp, [32]byte{}, &epoch),
		"mkdir": mkdirKey(layers.Key{}, dir, nil), "mkdir in another state": mkdirKey(one, dir, nil), "mkdir in time": mkdirKey(layers.Key{}, dir, &epoch),
		"mkdir elsewhere": mkdirKey(layers.Key{}, &dockerfile.Mkdir{Path: "/x"}, nil), "mkdir for": mkdirKey(layers.Key{}, &dockerfile.Mkdir{User: "x"}, nil),
	} {
		if other, ok := keys[k]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[k] = name
	}
}
