// This file owns the builds in each place, and how what they come to is judged.

package testplaces

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// contexts are the three Dockerfiles, with $BASE for the base. Each has a file hello.txt beside it.
var contexts = map[string]string{
	"a": `FROM $BASE
COPY hello.txt /app/hello.txt
ENV A=1
CMD ["cat", "/app/hello.txt"]
`,
	"b": `FROM $BASE
RUN echo hello > /out && id && cat /out
`,
	"c": `FROM $BASE
WORKDIR /workspace
RUN echo agent:x:1100:1100::/home/agent:/bin/sh >> /etc/passwd && echo agent:x:1100: >> /etc/group && mkdir /home/agent && chown agent:agent /home/agent && mkdir -p /srv/team && chgrp 29 /srv/team && chmod 2775 /srv/team && touch /srv/team/inherits
RUN --mount=type=cache,target=/root/.cache/pip echo kept > /root/.cache/pip/wheel && cat /root/.cache/pip/wheel
COPY --chown=agent:agent . .
RUN chown -R agent:agent /workspace && echo tool > /usr/bin/tool && chmod 4755 /usr/bin/tool
USER agent
RUN id && touch /workspace/made-by-agent && ls -ln /workspace
`,
}

// owners are what the image of (c) must have, and Linux' own root gives.
var owners = map[string]string{
	"etc/passwd":              "0:0 644",
	"home/agent":              "1100:1100 755",
	"srv/team":                "0:29 2775",
	"srv/team/inherits":       "0:29 644",
	"workspace":               "1100:1100 755",
	"workspace/hello.txt":     "1100:1100 644",
	"workspace/made-by-agent": "1100:1100 644",
	"usr/bin/tool":            "0:0 4755",
	"home/app":                "1000:1000 755",
}

func TestPlaces(t *testing.T) {
	w := newWorld(t)
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.make(t, w).judge(t)
		})
	}
}

// judge builds what the table says, and looks at what came of it.
func (m *made) judge(t *testing.T) {
	doctor, doctorCode := m.run(t, "doctor")
	got := want{mode: modeOf(doctor)}
	said := map[string]string{}
	for kind, code := range map[string]*int{"a": &got.a, "b": &got.b, "c": &got.c} {
		said[kind], *code = m.build(t, kind)
	}
	if os.Getenv("GBUILD_PLACES") == "observe" {
		t.Logf("OBSERVED %s want{mode: %q, a: %d, b: %d, c: %d} doctor %d\n--a %s\n--b %s\n--c %s\n--doctor %s", m.name, got.mode, got.a, got.b, got.c, doctorCode,
			tail(said["a"]), tail(said["b"]), tail(said["c"]), doctor)
	}
	if w := m.want; got.mode != w.mode || got.a != w.a || got.b != w.b || got.c != w.c {
		t.Errorf("mode %q, a %d, b %d, c %d; the table has %q, %d, %d, %d\n--a %s\n--b %s\n--c %s", got.mode, got.a, got.b, got.c, w.mode, w.a, w.b, w.c,
			tail(said["a"]), tail(said["b"]), tail(said["c"]))
	}
	for _, words := range m.want.says {
		if !strings.Contains(said["b"], words) {
			t.Errorf("(b) does not say %q:\n%s", words, said["b"])
		}
	}
	if disagrees := (doctorCode == 0) != (got.b == 0); disagrees != m.want.disagrees {
		t.Errorf("doctor ends with %d, and (b) with %d\n%s", doctorCode, got.b, doctor)
	}
	m.look(t, got)
}

// modeOf is the isolation that doctor found.
func modeOf(doctor string) string {
	_, mode, _ := strings.Cut("\n"+doctor, "\nisolation: ")
	mode, _, _ = strings.Cut(mode, "\n")
	return mode
}

// look looks at what was built, in the registry.
func (m *made) look(t *testing.T, got want) {
	if got.a == 0 {
		if have := files(t, m.target("a")); have["app/hello.txt"] != "0:0 644" {
			t.Errorf("the image of (a) has app/hello.txt as %q", have["app/hello.txt"])
		}
	}
	if got.b == 0 && files(t, m.target("b"))["out"] != "0:0 644" {
		t.Errorf("the image of (b) lacks /out")
	}
	if got.c != 0 {
		return
	}
	have := files(t, m.target("c"))
	for file, owner := range owners {
		if have[file] != owner {
			t.Errorf("the image of (c) has %s as %q, not %q", file, have[file], owner)
		}
	}
}

// tail is the end of what a build said.
func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n")
}

// build builds one of the Dockerfiles and pushes the result.
func (m *made) build(t *testing.T, kind string) (out string, code int) {
	t.Helper()
	dir := filepath.Join(m.dir, kind)
	err := os.Mkdir(dir, 0o755)
	for file, text := range map[string]string{"Dockerfile": strings.ReplaceAll(contexts[kind], "$BASE", m.world.base), "hello.txt": "hello\n"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.run(t, "build", "--progress", "plain", "-t", m.target(kind), "--push", dir)
}

// target is the image that a Dockerfile becomes.
func (m *made) target(kind string) string {
	return m.world.registry.Host() + "/" + m.name + "/" + kind + ":1"
}

// files are the names in an image of the registry, with their owners and modes.
func files(t *testing.T, image string) map[string]string {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	flat := mutate.Extract(img)
	defer flat.Close()
	for in := tar.NewReader(flat); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.Trim(h.Name, "/")] = fmt.Sprintf("%d:%d %o", h.Uid, h.Gid, h.Mode&0o7777)
	}
}
