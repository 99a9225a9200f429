package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// install is a pip: NAME=MEGABYTES is the distribution NAME with a file of that size, and one that has the environment.
func install(s *runtime.Sandbox, wanted []string) error {
	for _, w := range wanted {
		name, size, _ := strings.Cut(w, "=")
		dir := filepath.Join(s.Root, "sp", name)
		info := filepath.Join(s.Root, "sp", name+"-1.dist-info")
		for _, d := range []string{dir, info} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		mb, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		var epoch []string
		for _, e := range s.Env {
			if strings.HasPrefix(e, "SOURCE_DATE_EPOCH=") || strings.HasPrefix(e, "PYTHONHASHSEED=") {
				epoch = append(epoch, e)
			}
		}
		for path, data := range map[string][]byte{
			dir + "/lib.so": make([]byte, mb<<20), dir + "/env": []byte(strings.Join(epoch, " ")),
			info + "/RECORD": fmt.Appendf(nil, "%s/lib.so,,\n%s/env,,\n%s-1.dist-info/RECORD,,\n", name, name, name),
		} {
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func layersOf(t *testing.T, img v1.Image) (digests []string) {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		digests = append(digests, l.Digest.Hex)
	}
	return digests
}

// history is the texts of the entries that have a layer.
func history(t *testing.T, img v1.Image) (texts []string) {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range c.History {
		if h.Created.IsZero() {
			t.Errorf("%s has no time", h.CreatedBy)
		}
		if !h.EmptyLayer {
			texts = append(texts, h.CreatedBy)
		}
	}
	if len(texts) != len(c.RootFS.DiffIDs) {
		t.Errorf("%d entries for %d layers: %q", len(texts), len(c.RootFS.DiffIDs), texts)
	}
	return texts
}

// One changed requirement changes one layer; another machine and another user of the same distributions have the same.
func TestLayersOfDistributions(t *testing.T) {
	t.Parallel()
	b, other := newBench(t), newBench(t)
	one := b.build("FROM scratch\nRUN pip install big=20 large=17 tiny=0\nRUN write /after x\nENV A=1")
	two := b.build("FROM scratch\nENV X=1\nRUN pip install big=20 large=17 tiny=0 more=0\nRUN write /after x\nENV A=1")
	three := other.build("FROM scratch\nRUN write /sp/first x\nRUN pip install large=17 big=20")
	a, c, e := layersOf(t, one.Image), layersOf(t, two.Image), layersOf(t, three.Image)
	if len(a) != 4 || !slices.Equal(a[:2], c[:2]) || a[2] == c[2] || !slices.Equal(a[:2], e[1:3]) {
		t.Errorf("layers %v, %v, %v", a, c, e)
	}
	want := []string{"# big 1: part of the next step", "# large 1: part of the next step",
		"RUN /bin/sh -c pip install big=20 large=17 tiny=0 # buildkit", "RUN /bin/sh -c write /after x # buildkit"}
	if got := history(t, one.Image); !slices.Equal(got, want) {
		t.Errorf("history %q", got)
	}
	again := b.build("FROM scratch\nRUN pip install big=20 large=17 tiny=0\nRUN write /after x\nENV A=1", func(r *Request) { r.NoCache = true })
	if got := layersOf(t, again.Image); !slices.Equal(got[:2], a[:2]) {
		t.Errorf("made again: %v", got)
	}
	copied := b.build("FROM scratch AS venv\nRUN pip install big=20 tiny=0\nFROM scratch\nCOPY --from=venv /sp /sp")
	if got := layersOf(t, copied.Image); len(got) != 2 || got[0] != a[0] {
		t.Errorf("copied: %v, want %s first", got, a[0])
	}
}

func TestLayering(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text := "FROM scratch AS a\nRUN pip install big=20 tiny=0\nENV B=1\nFROM a\nRUN write /sp/big/env x\nWORKDIR /w"
	for name, want := range map[string][]string{
		"auto":     {"# big 1: part of the next step", "RUN /bin/sh -c pip install big=20 tiny=0 # buildkit", "RUN /bin/sh -c write /sp/big/env x # buildkit", "WORKDIR /w"},
		"per-step": {"RUN /bin/sh -c pip install big=20 tiny=0 # buildkit", "RUN /bin/sh -c write /sp/big/env x # buildkit", "WORKDIR /w"},
		"squash":   {"WORKDIR /w"},
	} {
		way, err := ParseLayering(name)
		if err != nil {
			t.Fatal(err)
		}
		set := func(r *Request) { r.Layering = way }
		first := b.build(text, set)
		if got := history(t, first.Image); !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if again := b.build(text, set); !slices.Equal(layersOf(t, again.Image), layersOf(t, first.Image)) || len(b.ran) > 0 {
			t.Errorf("%s: the second build differs", name)
		}
	}
	if _, err := ParseLayering("both"); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("both: %v", err)
	}
}

// A base with many layers leaves no room, and a long Dockerfile shares what there is.
func TestLayersOverLargeBase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, want int }{{127, 130}, {116, 120}, {114, 120}, {10, 17}} {
		b := newBench(t)
		var below []v1.Layer
		for range c.base {
			l, err := random.Layer(10, types.OCILayer)
			if err != nil {
				t.Fatal(err)
			}
			below = append(below, l)
		}
		img, err := mutate.AppendLayers(empty.Image, below...)
		if err != nil {
			t.Fatal(err)
		}
		b.Fetch = func(context.Context, string, v1.Platform) (v1.Image, error) { return img, nil }
		got := b.build("FROM base\nRUN pip install a=17 b=17\nRUN pip install c=17 d=17\nRUN write /x x")
		if n := len(layersOf(t, got.Image)); n != c.want {
			t.Errorf("%d layers over %d, want %d", n, c.base, c.want)
		}
	}
}

// A RUN that installs distributions sees the environment of the Dockerfile, and times of files are settled afterwards.
func TestSettles(t *testing.T) {
	for _, c := range []struct {
		command string
		env     []string
		want    bool
	}{
		{"pip install x", nil, true},
		{"pip3.11 install x", []string{"PYTHONHASHSEED=random"}, true},
		{"cd /x && /venv/bin/pip install x", []string{"SOURCE_DATE_EPOCH="}, false},
		{"cd /x && /venv/bin/pip install x", []string{"SOURCE_DATE_EPOCH=1700000000"}, true},
		{"python -m pip install x", nil, true},
		{"uv sync", nil, true},
		{"/opt/conda/bin/conda install -y x", nil, true},
		{"apt-get install python3-pip", nil, false},
		{"cat pip.conf ./pipeline pipx", nil, false},
	} {
		s := &dockerfile.Run{Args: []string{"/bin/sh", "-c", c.command}, Env: c.env}
		if got := settles(s); got != c.want {
			t.Errorf("%s: %v, want %v", c.command, got, c.want)
		}
	}
	if !installsPython(&dockerfile.Run{Args: []string{"/x"}, Files: []dockerfile.File{{Data: []byte("#!/bin/sh\npip install x")}}}) {
		t.Error("a heredoc is not read")
	}
}

// What another machine divided is used as it is, and otherwise where that is asked for.
func TestLayeringOfSharedCache(t *testing.T) {
	t.Parallel()
	text := "FROM scratch\nRUN pip install big=20 tiny=0\nRUN write /after x"
	var repo repository
	first := newBench(t)
	want := map[Layering][]string{}
	for _, way := range []Layering{SplitLayers, StepLayers, OneLayer} {
		set := func(r *Request) { r.Layering = way }
		want[way] = layersOf(t, first.build(text, set, share(nil, repo.cache(""))).Image)
	}
	for way, want := range want {
		m := first.machine()
		got := m.build(text, share(repo.cache(""), nil), func(r *Request) { r.Layering = way })
		m.wantRan()
		history(t, got.Image)
		if n := len(layersOf(t, got.Image)); n != len(want) {
			t.Errorf("way %d: %d layers, want %d", way, n, len(want))
		}
	}
}
