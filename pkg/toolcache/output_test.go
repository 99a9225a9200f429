package toolcache

import (
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"io"

	"github.com/gbuild/gbuild/pkg/installer"
)

const pipOutput = `Collecting torch==2.6.0
  Using cached torch-2.6.0-cp311-cp311-manylinux1_x86_64.whl.metadata (28 kB)
  Downloading https://index.example/files/six-1.17.0-py3-none-any.whl (11 kB)
     ━━━━━━━━━━ 11.1/11.1 kB 1.2 MB/s eta 0:00:00
Using cached torch-2.6.0-cp311-cp311-manylinux1_x86_64.whl (766.7 MB)
Using cached flash_attn-2.7.4-cp311-cp311-linux_x86_64.whl
Processing ./local
  Downloading http://index.example/files/ext-1.0.tar.gz (306 bytes)
  Created wheel for ext: filename=ext-1.0-py3-none-any.whl size=1003 sha256=d9b5
  Stored in directory: /dev/gbuild/pip/wheels/d5/3b/3a/603254
  Created wheel for local: filename=local-1.0-py3-none-any.whl size=1003 sha256=d9b6
  Stored in directory: /tmp/pip-ephem-wheel-cache-x/wheels/d5/3b/3a/603254
Successfully installed six-1.17.0 torch-2.6.0
`

func TestToolLog(t *testing.T) {
	for _, c := range []struct {
		name, tool, text string
		want             installer.Said
	}{
		{"pip", "pip", pipOutput, installer.Said{Hits: 2, Misses: 2, Saved: 766_700_000, Fetched: 11_306,
			Wheels: []string{"flash_attn-2.7.4-cp311-cp311-linux_x86_64.whl"}, Built: []string{"ext-1.0-py3-none-any.whl"}}},
		{"pip refuses", "pip", "WARNING: The directory '/c' or its parent directory is not owned or is not writable by the current user. The cache has been disabled.\n", installer.Said{Refused: true}},
		{"uv", "uv", "Resolved 9 packages in 12ms\nPrepared 2 packages in 1.2s\nInstalled 9 packages in 30ms\n", installer.Said{Hits: 7, Misses: 2}},
		{"apt", "apt", "Need to get 5,123 kB/12.3 MB of archives.\n", installer.Said{Saved: 7_177_000, Fetched: 5_123_000}},
		{"long", "pip", strings.Repeat("x", 1<<20) + "\n  Using cached a-1-py3-none-any.whl (1 kB)\n", installer.Said{Hits: 1, Saved: 1000}},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			l := &Output{}
			buf := make([]byte, 4096)
			for {
				n, err := r.Read(buf)
				l.Write(buf[:n], false)
				if err != nil {
					break
				}
			}
			got := l.tools.Of(installer.Tool(c.tool))
			if got.Hits != c.want.Hits || got.Misses != c.want.Misses || got.Saved != c.want.Saved || got.Fetched != c.want.Fetched ||
				got.Refused != c.want.Refused || !slices.Equal(got.Wheels, c.want.Wheels) || !slices.Equal(got.Built, c.want.Built) {
				t.Errorf("%s: %+v", c.name, *got)
			}
		}
	}
}

func TestCacheUseInWords(t *testing.T) {
	for want, u := range map[string]Use{
		"cache of pip: 12 packages used from it (812MB not downloaded); 1 package downloaded (57.2kB)": {Tool: "pip", Automatic: true, Hits: 12, Saved: 812_000_000, Misses: 1, Fetched: 57_200},
		"cache mount /root/.cache/pip: this mount was never touched":                                   {Target: "/root/.cache/pip", Untouched: true},
		"cache mount /c: nothing new in it":                                                            {Target: "/c"},
		"cache mount /c: 1.5kB new in it":                                                              {Target: "/c", NewFiles: 1, NewBytes: 1500},
		"cache of pip: 1 package used from it; built earlier and used: a-1.whl":                        {Tool: "pip", Automatic: true, Hits: 1, Wheels: []string{"a-1.whl"}},
		"cache of pip: pip does not use it: see its warning":                                           {Tool: "pip", Automatic: true, Refused: true},
		"cache of apt: 7.18MB not downloaded; 5.12MB downloaded":                                       {Tool: "apt", Automatic: true, Saved: 7_177_000, Fetched: 5_123_000},
	} {
		if got := u.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
