package pipcache

import (
	"os"
	"path/filepath"
	"testing"
)

// The places are those that pip 23.0 chose on Python 3.11.
func TestDropUndigested(t *testing.T) {
	b := newLendBench(t)
	const sum = "228f6830fa1487aa77daec3f7a24b00d394add6b23ce7d401ea2205634367346"
	archive := `{"archive_info": {"hash": "sha256=` + sum + `"}, "url": "http://127.0.0.1:18950/files/probe-1.0.tar.gz"}`
	for place, c := range map[string]struct {
		origin  string
		stays   bool
		ofState bool
	}{
		"ca/e8/5d/8b0ce086cc7ab9f41163ff12a4caf8d937c2ac4fec296d227f": {archive, true, false},
		"ca/e8/5d/8b0ce086cc7ab9f41163ff12a4caf8d937c2ac4fec296d2270": {archive, false, true},
		"00/00/00/00": {`{"vcs_info": {"vcs": "git", "commit_id": "1"}, "url": "https://git.example/x"}`, true, false},
		"00/00/00/01": {`{}`, false, true},
		"00/00/00/02": {``, true, false}, // an early pip
		"00/00/00/03": {`{"archive_info": {}, "url": "file:///src/probe-1.0.tar.gz"}`, true, true},
		"00/00/00/04": {`{"archive_info": {}, "url": "file:///src/probe-1.0.tar.gz"}`, false, false},
		"00/00/00/05": {`{"archive_info": {}, "url": "file:///root/.cache/probe-1.0.tar.gz"}`, false, true},
	} {
		wheel := filepath.Join(place, "probe-1.0-py3-none-any.whl")
		b.write(b.two, wheel, []byte("PK"))
		if c.origin != "" {
			b.write(b.two, filepath.Join(place, originFile), []byte(c.origin))
		}
		if err := b.two.DropUndigested(c.ofState); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(b.two.Dir(), wheel)); (err == nil) != c.stays {
			t.Errorf("%s in %s: %v", c.origin, place, err)
		}
	}
}
