package building

import (
	"slices"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/installer"
)

func TestCacheFlags(t *testing.T) {
	for _, c := range []struct {
		o     Tools
		tools []installer.Tool
		dir   string
		fail  string
	}{
		{o: Tools{PipCache: "auto", AutoCache: []string{"pip", "uv"}}, tools: []installer.Tool{"pip", "uv"}},
		{o: Tools{PipCache: "off", AutoCache: []string{"pip", "uv"}}, tools: []installer.Tool{"uv"}},
		{o: Tools{PipCache: "auto", AutoCache: []string{"none"}}},
		{o: Tools{PipCache: "/c", AutoCache: []string{"apt", " npm"}}, tools: []installer.Tool{"apt", "npm", "pip"}, dir: "/c"},
		{o: Tools{PipCache: "", AutoCache: []string{"pip"}}, fail: "auto, off, or a directory"},
		{o: Tools{PipCache: "auto", AutoCache: []string{"cargo"}}, fail: "pip, uv, apt, conda and npm"},
		{o: Tools{PipCache: "auto", Mirrors: []string{"npm=https://m.example"}}, fail: "pip=URL"},
		{o: Tools{PipCache: "auto", Mirrors: []string{"pip=ftp://me:secret@m.example"}}, fail: "no http or https URL"},
	} {
		req := &build.Request{}
		err := c.o.fill(req, environment(nil))
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
	environ := environment(map[string]string{"GBUILD_MIRROR": "pip=https://one.example/simple apt=http://one.example"})
	req := &build.Request{}
	f := Tools{PipCache: "auto", Mirrors: []string{"pip=https://two.example/simple"}}
	if err := f.fill(req, environ); err != nil {
		t.Fatal(err)
	}
	if req.Mirrors["pip"].Host != "two.example" || req.Mirrors["apt"].Host != "one.example" {
		t.Errorf("%v", req.Mirrors)
	}
}
