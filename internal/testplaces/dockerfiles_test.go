// This file owns the three Dockerfiles that are built in each place, and what their images must have.

package testplaces

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gbuild/gbuild/internal/testimage"
)

// dockerfile is one of the three. In its text $BASE is the base, and $INDEX a package index on loopback.
type dockerfile struct {
	text  string
	from  string            // a directory whose files lie beside it; "" for one file, hello.txt
	flags []string          // of gbuild build
	have  map[string]string // files of the image that are known beforehand, each "UID:GID MODE"
}

// dockerfiles are what each run of the tests builds; quick, with a base that has a shell.
var dockerfiles = map[string]dockerfile{
	"a": {have: map[string]string{"app/hello.txt": "0:0 644"}, text: `FROM $BASE
COPY hello.txt /app/hello.txt
ENV A=1
CMD ["cat", "/app/hello.txt"]
`},
	"b": {have: map[string]string{"out": "0:0 644"}, text: `FROM $BASE
RUN echo hello > /out && id && cat /out && echo process $$
`},
	"c": {text: `FROM $BASE
WORKDIR /workspace
RUN echo agent:x:1100:1100::/home/agent:/bin/sh >> /etc/passwd && echo agent:x:1100: >> /etc/group && mkdir /home/agent && chown agent:agent /home/agent
RUN mkdir -p /srv/team && chgrp 29 /srv/team && chmod 2775 /srv/team && touch /srv/team/inherits
RUN --mount=type=cache,target=/root/.cache/pip echo kept > /root/.cache/pip/wheel && cat /root/.cache/pip/wheel
COPY --chown=agent:agent . .
RUN chown -R agent:agent /workspace && echo tool > /usr/bin/tool && chmod 4755 /usr/bin/tool
USER agent
RUN id && touch /workspace/made-by-agent && ls -ln /workspace
`, have: map[string]string{
		"etc/passwd":              "0:0 644",
		"home/agent":              "1100:1100 755",
		"srv/team":                "0:29 2775",
		"srv/team/inherits":       "0:29 644",
		"workspace":               "1100:1100 755",
		"workspace/hello.txt":     "1100:1100 644",
		"workspace/made-by-agent": "1100:1100 644",
		"usr/bin/tool":            "0:0 4755",
		"home/app":                "1000:1000 755",
	}},
}

// agent is (c) as people have it, by Debian's and Python's package managers. It takes a minute in each place.
var agent = dockerfile{from: "../../examples/email-agent", flags: []string{"--network", "host"}, text: `FROM $BASE
WORKDIR /workspace
RUN apt-get update && apt-get install -y --no-install-recommends jq make openssh-client && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip3 install -q --trusted-host 127.0.0.1 -i $INDEX -r requirements.txt
RUN useradd -m -u 1100 agent
COPY --chown=agent:agent . .
RUN chown -R agent:agent /workspace && chmod +x scripts/*.sh && chmod 4755 /usr/bin/jq
USER agent
RUN id && touch made-by-agent && ls -ln && python3 -c 'import six, yaml, tabulate, os; assert os.getuid() == 1100'
CMD ["python3", "train.py"]
`, have: map[string]string{
	"workspace/train.py":      "1100:1100 644",
	"workspace/made-by-agent": "1100:1100 644",
	"usr/bin/jq":              "0:0 4755",
	"home/agent":              "1100:1100 755",
	"etc/shadow":              "0:42 640",
}}

// useAgent makes the builds those that people have, on a base with Python.
func (w *world) useAgent(t *testing.T) {
	t.Helper()
	cache := os.Getenv("GBUILD_TEST_CACHE")
	if cache == "" {
		t.Fatal("GBUILD_TEST_CACHE must be where the base with Python is kept, or may be made")
	}
	img, err := testimage.Python(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	if w.base, err = w.registry.Put(t.Context(), "base/python:1", img); err != nil {
		t.Fatal(err)
	}
	index, err := testimage.NewIndex()
	for debian, version := range map[string]string{"python3-six": "1.16.0", "python3-yaml": "6.0.1", "python3-tabulate": "0.9.0"} {
		wheel, wheelErr := testimage.DebianWheel(debian)
		wheel.Version = version
		if err == nil {
			err = wheelErr
		}
		if err == nil {
			err = index.Add(wheel)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(index)
	w.cleanUp(server.Close)
	w.index = server.URL + "/simple/"
	w.builds = maps.Clone(dockerfiles)
	w.builds["c"] = agent
}

// write makes the context.
func (d dockerfile) write(w *world, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if d.from != "" {
		if err := os.CopyFS(dir, os.DirFS(d.from)); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, "Dockerfile")); err != nil {
			return err
		}
	}
	text := strings.NewReplacer("$BASE", w.base, "$INDEX", w.index).Replace(d.text)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("hello\n"), 0o644)
}

// look compares the image with what is known of it, and with what root's has.
func (d dockerfile) look(t *testing.T, image string, reference map[string]string) {
	t.Helper()
	have := files(t, image)
	for file, owner := range d.have {
		if have[file] != owner {
			t.Errorf("%s has %s as %q, not %q", image, file, have[file], owner)
		}
	}
	for file, owner := range reference {
		if have[file] != owner {
			t.Errorf("%s has %s as %q, and root's as %q", image, file, have[file], owner)
		}
	}
	for file, owner := range have {
		if _, known := reference[file]; reference != nil && !known {
			t.Errorf("%s has %s (%s), and root's has not", image, file, owner)
		}
	}
}

// files are the names in an image of the registry, each with "UID:GID MODE", and with the target of a link.
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
		what := fmt.Sprintf("%d:%d %o", h.Uid, h.Gid, h.Mode&0o7777)
		if h.Linkname != "" {
			what += " -> " + h.Linkname
		}
		all[strings.Trim(h.Name, "/")] = what
	}
}
