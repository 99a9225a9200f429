package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/installer"
)

func TestCacheFlags(t *testing.T) {
	for _, c := range []struct {
		o     toolFlags
		tools []installer.Tool
		dir   string
		fail  string
	}{
		{o: toolFlags{pipCache: "auto", autoCache: []string{"pip", "uv"}}, tools: []installer.Tool{"pip", "uv"}},
		{o: toolFlags{pipCache: "off", autoCache: []string{"pip", "uv"}}, tools: []installer.Tool{"uv"}},
		{o: toolFlags{pipCache: "auto", autoCache: []string{"none"}}},
		{o: toolFlags{pipCache: "/c", autoCache: []string{"apt", " npm"}}, tools: []installer.Tool{"apt", "npm", "pip"}, dir: "/c"},
		{o: toolFlags{pipCache: "", autoCache: []string{"pip"}}, fail: "auto, off, or a directory"},
		{o: toolFlags{pipCache: "auto", autoCache: []string{"cargo"}}, fail: "pip, uv, apt, conda and npm"},
		{o: toolFlags{pipCache: "auto", mirrors: []string{"npm=https://m.example"}}, fail: "pip=URL"},
		{o: toolFlags{pipCache: "auto", mirrors: []string{"pip=ftp://me:secret@m.example"}}, fail: "no http or https URL"},
	} {
		req := &build.Request{}
		err := c.o.fill(req, testApp(nil).Environ)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%+v: %v", c.o, err)
			}
			continue
		}
		if err != nil || !slices.Equal(req.AutoCache, c.tools) || req.PipDir != c.dir {
			t.Errorf("%+v: %v %q %v", c.o, req.AutoCache, req.PipDir, err)
		}
	}
}

func TestMirrorsOfTheEnvironmentComeFirst(t *testing.T) {
	a := testApp(map[string]string{"GBUILD_MIRROR": "pip=https://one.example/simple apt=http://one.example"})
	req := &build.Request{}
	f := toolFlags{pipCache: "auto", mirrors: []string{"pip=https://two.example/simple"}}
	if err := f.fill(req, a.Environ); err != nil {
		t.Fatal(err)
	}
	if req.Mirrors["pip"].Host != "two.example" || req.Mirrors["apt"].Host != "one.example" {
		t.Errorf("%v", req.Mirrors)
	}
}
