package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int, e build.Event) build.Event {
	e.Time = begin.Add(time.Duration(ms) * time.Millisecond)
	return e
}

func started(ms, step int, title string) build.Event {
	return at(ms, build.Event{Type: build.Started, Step: step, Title: title})
}

func logged(ms, step int, text string) build.Event {
	return at(ms, build.Event{Type: build.Log, Step: step, Data: []byte(text)})
}

func done(ms, step int) build.Event { return at(ms, build.Event{Type: build.Done, Step: step}) }

const file = "FROM base\nWORKDIR /app\nCMD python3 train.py\n"

// failing is a build of every kind of Event, which fails.
func failing() []build.Event {
	return []build.Event{
		at(0, build.Event{Type: build.Notice, Text: "no /dev/net/tun: RUN uses the host's network"}),
		started(0, 1, "[internal] load base"),
		at(100, build.Event{Type: build.Progress, Step: 1, Current: 1_000_000, Total: 45_000_000, Text: "pulling"}),
		at(6000, build.Event{Type: build.Progress, Step: 1, Current: 12_300_000, Total: 45_000_000, Text: "pulling"}),
		at(7000, build.Event{Type: build.Progress, Step: 1, Current: 45_000_000, Total: 45_000_000, Text: "pulling"}),
		at(7001, build.Event{Type: build.Progress, Step: 1, Current: 45_000_000, Total: 45_000_000, Text: "pulling"}),
		done(7100, 1),
		started(7100, 2, "[stage-0 2/5] WORKDIR /app"),
		at(7101, build.Event{Type: build.Done, Step: 2, Cached: true}),
		at(7101, build.Event{Type: build.Warned, Warning: &dockerfile.Warning{Rule: "JSONArgsRecommended",
			Message:  "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
			Location: dockerfile.Location{Start: 3, End: 3}}}),
		started(7200, 3, "[stage-0 3/5] RUN pip3 install -r requirements.txt"),
		started(7200, 4, "[other 2/2] RUN make"),
		logged(7500, 3, "Collecting six\nDownloading  10%\rDownloading 100%\r\nInstal"),
		logged(7600, 4, "cc -c a.c\n"),
		logged(7700, 3, "ling\n::set-output name=x::y\n\x1b[31mred\x1b[0m\n"),
		done(7800, 4),
		logged(7900, 3, "last words"),
		at(8200, build.Event{Type: build.Failed, Step: 3, Text: "process \"/bin/sh -c pip3 install\" exited with 1"}),
	}
}

func succeeding() []build.Event {
	return []build.Event{
		started(0, 1, "[1/1] COPY . /app"),
		done(1200, 1),
		at(1300, build.Event{Type: build.Finished, Result: map[string]any{"digest": "sha256:abc", "names": []string{"a:1", "b"}}}),
	}
}

func draw(mode Mode, events []build.Event) string {
	var out bytes.Buffer
	d := New(mode, &out, false, 60)
	d.SetSource("dir/Dockerfile", []byte(file))
	if t, ok := d.draw.(*ttyDrawer); ok {
		t.now = func() time.Time { return begin.Add(9 * time.Second) }
	}
	for _, e := range events {
		d.Handle(e)
	}
	d.Close()
	return out.String()
}

func TestGolden(t *testing.T) {
	builds := map[string][]build.Event{"failing": failing(), "succeeding": succeeding()}
	for name, events := range builds {
		for _, mode := range []Mode{Plain, Quiet} {
			t.Run(name+"/"+string(mode), func(t *testing.T) { golden(t, name+"."+string(mode), draw(mode, events)) })
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update rewrites it); got:\n%s", path, got)
	}
}

// The terminal redraws by the clock; the test draws by hand, between the ticks.
func TestTTYWindow(t *testing.T) {
	var out bytes.Buffer
	d := New(TTY, &out, true, 60)
	drawer := d.draw.(*ttyDrawer)
	d.mu.Lock() // keeps the ticker away
	drawer.now = func() time.Time { return begin.Add(9 * time.Second) }
	for _, e := range failing() {
		s, lines := d.track(e)
		drawer.event(e, s, lines)
		if e.Type == build.Log || e.Type == build.Progress {
			drawer.redraw()
		}
	}
	d.mu.Unlock()
	d.Close()
	golden(t, "failing.tty", strings.ReplaceAll(out.String(), "\x1b", "ESC"))
}

func TestTTYCloseTwice(t *testing.T) {
	var out bytes.Buffer
	d := New(Auto, &out, true, 0)
	d.Handle(build.Event{Type: build.Started, Step: 1, Title: "RUN true"})
	d.Close()
	d.Close()
}

func TestWindowFits(t *testing.T) {
	var out bytes.Buffer
	d := New(TTY, &out, true, 40)
	for i := 1; i <= 12; i++ {
		d.Handle(started(0, i, strings.Repeat("構", 60)))
		d.Handle(logged(1, i, strings.Repeat("line\n", 30)))
	}
	d.mu.Lock()
	window := d.draw.(*ttyDrawer).window()
	d.mu.Unlock()
	d.Close()
	if len(window) > windowLines+2 {
		t.Errorf("the window has %d lines", len(window))
	}
	for _, line := range window {
		if columns(line) >= 40 {
			t.Errorf("%d columns: %q", columns(line), line)
		}
	}
}

func TestWarningMatchesBuildx(t *testing.T) {
	found := regexp.MustCompile(`(?m)^WARNING: (\w+).*\n(?:.*\n)*?.*ockerfile:(\d+)$`).FindStringSubmatch(draw(Plain, failing()))
	if len(found) != 3 || found[1] != "JSONArgsRecommended" || found[2] != "3" {
		t.Errorf("found %q", found)
	}
}

func TestJSONGolden(t *testing.T) { golden(t, "succeeding.json", draw(JSON, succeeding())) }

func TestJSONIsOneEventALine(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(draw(JSON, failing())), "\n")
	if len(lines) != len(failing()) {
		t.Fatalf("%d lines for %d events", len(lines), len(failing()))
	}
	for i, line := range lines {
		var e build.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type != failing()[i].Type {
			t.Errorf("line %d is of type %s", i, e.Type)
		}
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "hello, wörld", "hello, wörld"},
		{"colour", "\x1b[1;31mred\x1b[0m", "red"},
		{"title", "a\x1b]0;evil\ab", "ab"},
		{"title ended by ST", "a\x1b]8;;http://x\x1b\\b", "ab"},
		{"charset", "\x1b(Ba", "a"},
		{"unended escape", "a\x1b[12", "a"},
		{"lone escape", "a\x1b", "a"},
		{"controls", "a\x00\x07\bb\x7fc\u0085", "abc"},
		{"tab", "a\tb", "a b"},
		{"bidi", "a\u202eb\u2066c", "abc"},
		{"bad utf-8", "a\xffb", "a\ufffdb"},
		{"github", "::error file=x::y", ": :error file=x::y"},
		{"github after space", "  ::error::y", "  : :error::y"},
		{"github inside", "std::move", "std::move"},
		{"github hidden by an escape", "\x1b[0m::error::y", ": :error::y"},
		{"old github", "x ##[error]y", "x ## [error]y"},
		{"azure", "##vso[task.complete]", "## vso[task.complete]"},
		{"azure in capitals", "a##VSO[task.complete]", "a## VSO[task.complete]"},
		{"azure around what is not seen", "#\u200d#v\u034fso[a]", "#\u200d# v\u034fso[a]"},
		{"old github after hashes", "####[error]", "#### [error]"},
		{"no command", "# a ## b [c] ##", "# a ## b [c] ##"},
		{"teamcity", "##teamcity[a]", "## teamcity[a]"},
		{"gitlab", "\x1b[0Ksection_start:1:a\r\x1b[0Kb", "section_start:1:ab"},
		{"github around what is not seen", "\u00a0\u200b:\x00:error::y", "\u00a0: :error::y"},
		{"three colons", ":::error::y", ": ::error::y"},
		{"marks of direction", "a\u061cb\u200ec\ufeffd\u00ade", "abcde"},
		{"joined letters and emoji", "می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"},
		{"raw C1", "a\x9b31mb", "a\ufffd31mb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := clean(c.in); got != c.want || clean(got) != got {
				t.Errorf("clean(%q) = %q, and of that %q; want %q", c.in, got, clean(got), c.want)
			}
		})
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, piece := range []string{"a\tb\n:", ":error::x\n#", "#[c]\x1b[", "31md\nrest##", "[e]"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if want := "a\tb\n: :error::x\n## [c]d\nrest## [e]"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestEscapeJSON(t *testing.T) {
	for _, text := range []string{"plain", "##[a]", "###", "# #", "\u009b\u202e\u2028x\U000e0041", "\x00\n\t\\\"#"} {
		in, err := json.Marshal(map[string]string{"a##vso[": text})
		if err != nil {
			t.Fatal(err)
		}
		out := EscapeJSON(in)
		var back map[string]string
		if err := json.Unmarshal(out, &back); err != nil || back["a##vso["] != text {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
		if plain(string(out)) != string(out) {
			t.Errorf("%s is not fit to be shown", out)
		}
	}
}

func TestLongLineIsBounded(t *testing.T) {
	var r lineReader
	piece := bytes.Repeat([]byte("x"), 1<<16)
	for range 64 {
		r.add(piece)
	}
	if cap(r.buf) > 4*maxLine {
		t.Errorf("the buffer grew to %d bytes", cap(r.buf))
	}
	lines := r.add([]byte("\n"))
	if len(lines) != 1 || !strings.HasSuffix(lines[0], "x … (4190208 bytes more)") {
		t.Errorf("got %d lines, the first ends in %q", len(lines), lines[0][max(0, len(lines[0])-40):])
	}
}

func TestTailIsBounded(t *testing.T) {
	s := &step{}
	for range 1000 {
		s.log([]byte("line\n"), true)
	}
	if len(s.tail) != tailLines {
		t.Errorf("the tail has %d lines", len(s.tail))
	}
}

func TestParseMode(t *testing.T) {
	for name, want := range map[string]Mode{"": Auto, "auto": Auto, "tty": TTY, "plain": Plain, "json": JSON, "quiet": Quiet} {
		if got, err := ParseMode(name); err != nil || got != want {
			t.Errorf("ParseMode(%q) = %q, %v", name, got, err)
		}
	}
	if _, err := ParseMode("rawjson"); err == nil {
		t.Error("rawjson is no mode")
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0kB", 12_300_000: "12.3MB", 5e9: "5.0GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

// What a RUN did with a cache is a line of its step, and for a program an object.
func TestCacheEvent(t *testing.T) {
	use := &toolcache.Use{ID: "pip", Tool: "pip", Automatic: true, Target: "/dev/gbuild/pip", Hits: 2, Saved: 25_500}
	events := []build.Event{at(0, build.Event{Type: build.Cache, Text: "pip has a cache"}), started(0, 3, "[2/2] RUN pip install a"),
		at(10, build.Event{Type: build.Cache, Step: 3, Text: use.String(), Cache: use}), done(20, 3)}
	for mode, want := range map[Mode]string{
		Plain: "#3 cache of pip: 2 packages used from it (25.5kB not downloaded)\n",
		TTY:   " =>   cache of pip: 2 packages used from it (25.5kB not downloaded)",
		JSON:  `"cache":{"id":"pip","target":"/dev/gbuild/pip","tool":"pip","automatic":true,"hits":2,"saved":25500}`,
	} {
		var out bytes.Buffer
		d := New(mode, &out, mode == TTY, 100)
		for _, e := range events {
			d.Handle(e)
		}
		d.Close()
		if !strings.Contains(out.String(), want) || mode != JSON && !strings.Contains(out.String(), "gbuild: pip has a cache\n") {
			t.Errorf("%s: %q is not in\n%s", mode, want, out.String())
		}
	}
}
