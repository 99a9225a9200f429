// This file owns the builds in each place, and how what they come to is judged.

package testplaces

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lane says what TestPlaces does: nothing special, "observe" to print what comes of each place, "page" to build as people do and to
// write docs/where-it-runs.md.
var lane = os.Getenv("GBUILD_PLACES")

// result is what came of a place.
type result struct {
	want
	doctor int
	said   map[string]string // what was printed, by the letter of the Dockerfile, and by doctor
}

func TestPlaces(t *testing.T) {
	w := newWorld(t)
	if lane == "page" {
		w.useAgent(t)
		t.Cleanup(func() { writePage(t, w) })
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			m := p.make(t, w)
			got := m.builds(t)
			w.keep(p.name, got)
			m.judge(t, got)
		})
	}
}

// builds asks doctor, and builds the three.
func (m *made) builds(t *testing.T) result {
	t.Helper()
	r := result{said: map[string]string{}}
	r.said["doctor"], r.doctor = m.run(t, "doctor")
	r.mode = modeOf(r.said["doctor"])
	r.said["a"], r.a = m.build(t, "a")
	r.said["b"], r.b = m.build(t, "b")
	if lane == "page" && r.b != 0 {
		r.said["c"], r.c = r.said["b"], r.b // it begins with a RUN, too
		return r
	}
	r.said["c"], r.c = m.build(t, "c")
	return r
}

// build builds one of the Dockerfiles and pushes the result.
func (m *made) build(t *testing.T, letter string) (out string, code int) {
	t.Helper()
	d, dir := m.world.builds[letter], filepath.Join(m.dir, letter)
	if err := d.write(m.world, dir); err != nil {
		t.Fatal(err)
	}
	args := slices.Concat([]string{"build", "--progress", "plain", "-t", m.target(letter), "--push"}, d.flags, []string{dir})
	return m.run(t, args...)
}

// target is the image that a Dockerfile becomes.
func (m *made) target(letter string) string {
	return m.world.registry.Host() + "/" + m.name + "/" + letter + ":1"
}

// modeOf is the isolation that doctor found.
func modeOf(doctor string) string {
	_, mode, _ := strings.Cut("\n"+doctor, "\nisolation: ")
	mode, _, _ = strings.Cut(mode, "\n")
	return mode
}

// judge compares what came of a place with the table, and the images with root's.
func (m *made) judge(t *testing.T, r result) {
	t.Helper()
	var ends strings.Builder
	for _, of := range slices.Sorted(maps.Keys(r.said)) {
		ends.WriteString("\n--" + of + ": " + tail(r.said[of]))
	}
	if lane == "observe" {
		t.Logf("OBSERVED %s want{mode: %q, a: %d, b: %d, c: %d} doctor %d%s", m.name, r.mode, r.a, r.b, r.c, r.doctor, ends.String())
	}
	w := m.want
	if lane == "page" {
		w.c = cmp.Or(w.agent, w.c)
	}
	if r.mode != w.mode || r.a != w.a || r.b != w.b || r.c != w.c {
		t.Errorf("mode %q, a %d, b %d, c %d; the table has %q, %d, %d, %d%s", r.mode, r.a, r.b, r.c, w.mode, w.a, w.b, w.c, ends.String())
	}
	for _, words := range m.want.says {
		if words = strings.ReplaceAll(words, "$DIR", m.dir); !strings.Contains(r.said["b"], words) {
			t.Errorf("(b) does not say %q:\n%s", words, r.said["b"])
		}
	}
	if r.b == 0 && m.want.says == nil && strings.Contains(r.said["b"], "isolation ") {
		t.Errorf("(b) says how it is isolated, where nothing is missing:\n%s", r.said["b"])
	}
	if own := firstProcess.MatchString(r.said["b"]); r.b == 0 && own == sharedProcesses.MatchString(r.said["b"]) {
		t.Errorf("(b) has processes of its own: %v, and says\n%s", own, r.said["b"])
	}
	if r.b != 0 && !strings.Contains(r.said["b"], "\ngbuild: hint: ") {
		t.Errorf("(b) says no remedy:\n%s", r.said["b"])
	}
	if (r.doctor == hostFault) != (r.b == hostFault) {
		t.Errorf("doctor ends with %d, and (b) with %d: they must agree\n%s", r.doctor, r.b, r.said["doctor"])
	}
	lost := r.mode == "fake" || r.mode == "ptrace"
	if lost && r.c == 0 {
		m.lookLost(t)
	}
	if lost {
		return
	}
	for letter, code := range map[string]int{"a": r.a, "b": r.b, "c": r.c} {
		if code == 0 {
			m.world.builds[letter].look(t, m.target(letter), m.world.reference(t, letter))
		}
	}
}

// firstProcess is what (b) prints where it is the first process of a namespace: it has processes of its own, and sees no others.
var firstProcess = regexp.MustCompile(`(?m) process 1$`)

// sharedProcesses is what is said where it has not.
var sharedProcesses = regexp.MustCompile(`sees its processes|can reach its processes|the processes and the devices of this place`)

// hostFault is the exit status where the place is at fault.
const hostFault = 64

// lookLost pins what is wrong with an image of (c) where changes of owners succeed without being kept.
func (m *made) lookLost(t *testing.T) {
	t.Helper()
	have := files(t, m.target("c"))
	for _, file := range []string{"workspace/made-by-agent", "workspace"} {
		if !strings.HasPrefix(have[file], "0:0 ") {
			t.Errorf("%s is %q", file, have[file])
		}
	}
	if !strings.HasPrefix(have["workspace/hello.txt"], "1100:1100 ") {
		t.Errorf("the file of COPY --chown is %q", have["workspace/hello.txt"])
	}
}

// tail is the end of what a build said.
func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n")
}

// reference is what the image has when root builds it where nothing is missing.
func (w *world) reference(t *testing.T, letter string) map[string]string {
	t.Helper()
	w.referring.Lock()
	defer w.referring.Unlock()
	if w.references == nil {
		root := (&place{name: "reference"}).make(t, w)
		got := root.builds(t)
		if got.a+got.b+got.c != 0 {
			t.Fatalf("root cannot build here: %v", got.said)
		}
		w.references = map[string]map[string]string{}
		for l := range w.builds {
			w.references[l] = files(t, root.target(l))
		}
	}
	return w.references[letter]
}

// keep remembers what came of a place, for the page.
func (w *world) keep(name string, r result) {
	w.making.Lock()
	defer w.making.Unlock()
	w.results[name] = r
}
