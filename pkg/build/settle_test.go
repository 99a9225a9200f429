package build

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Two installations of real distributions at two times are the same files, with byte code that Python takes, though the
// commands see no variable that the Dockerfile does not set.
func (p *pythonBench) testInstallationsAreTheSame(t *testing.T) {
	text := "FROM base\nRUN pip install part0==1.0 part1==1.0 && env\n" +
		"RUN python3 -v -c 'import part0, part1' 2>&1 | grep 'matches /usr/local'\n"
	var seen []map[string]string
	for range 2 {
		r, _ := p.run(text, func(r *Request) { r.NoCache = true })
		out := p.output()
		if strings.Contains(out, "SOURCE_DATE_EPOCH") || strings.Contains(out, "PYTHONHASHSEED") {
			t.Errorf("the environment of the RUN is not its own: %s", out)
		}
		if strings.Count(out, "matches /usr/local") != 2 {
			t.Errorf("Python does not take the byte code: %s", out)
		}
		seen = append(seen, p.installed(r))
		time.Sleep(1100 * time.Millisecond)
	}
	if len(seen[0]) < 8 {
		t.Fatalf("files: %v", seen[0])
	}
	for name, data := range seen[0] {
		if seen[1][name] != data {
			t.Errorf("%s differs", name)
		}
	}
}

// installed is what the installed files hold, with their times.
func (p *pythonBench) installed(r *Result) map[string]string {
	p.Helper()
	v, err := p.Store.View(r.Key)
	if err != nil {
		p.Fatal(err)
	}
	all := map[string]string{}
	err = v.Walk("/usr/local/lib", func(e *rootfs.Entry) error {
		all[e.Path] = e.ModTime.String()
		if e.IsDir() {
			return nil
		}
		f, err := e.Open()
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		all[e.Path] += string(data)
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return all
}
