package dockerfile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse holds Parse and Resolve to their law: nothing panics, every error is an *Error that points at a line of the
// file, a config is JSON, and the history has one layer for each step.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range txtar.Parse(raw).Files {
			if section.Name == "Dockerfile" {
				f.Add(section.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		o := Options{Args: map[string]string{"A": "given", "EMPTY": ""}, BuildPlatform: v1.Platform{OS: "linux", Architecture: "amd64"}}
		p, err := Parse("Dockerfile", src, o)
		if err != nil {
			checkError(t, err, src)
			return
		}
		done := map[*Stage]*Resolved{}
		for _, s := range p.Stages {
			checkStage(t, s, done, src)
		}
	})
}

func checkStage(t *testing.T, s *Stage, done map[*Stage]*Resolved, src []byte) {
	var base *v1.ConfigFile
	switch s.Base.Kind {
	case FromStage:
		if done[s.Base.Stage] == nil {
			return // its base failed
		}
		base = done[s.Base.Stage].Config
	case FromImage:
		base = &v1.ConfigFile{Config: v1.Config{OnBuild: []string{"RUN trigger"}, WorkingDir: "work", User: "u"}}
	}
	res, err := s.Resolve(base)
	if err != nil {
		checkError(t, err, src)
		return
	}
	done[s] = res
	raw, err := res.MarshalConfig(res.Config)
	if err != nil || !json.Valid(raw) {
		t.Fatalf("config is no JSON: %v", err)
	}
	layers := 0
	for _, h := range res.Config.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	if base != nil {
		for _, h := range base.History {
			if !h.EmptyLayer {
				layers--
			}
		}
	}
	if layers != len(res.Steps) {
		t.Fatalf("%d layers in the history of %d steps", layers, len(res.Steps))
	}
}

func checkError(t *testing.T, err error, src []byte) {
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is a %T", err, err)
	}
	lines := strings.Count(strings.TrimSuffix(string(src), "\n"), "\n") + 1
	if e.Start < 1 || e.End < e.Start || e.End > lines {
		t.Fatalf("error %v is at %d to %d of %d lines", err, e.Start, e.End, lines)
	}
	if !strings.Contains(e.Excerpt(), ">>>") {
		t.Fatalf("error %v has the excerpt %q", err, e.Excerpt())
	}
}
