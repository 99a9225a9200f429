package layers

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// installer is the shell function that installs as pip does: the list last, with what it added. Only then is it whole.
const installer = `umask 022; install() { mkdir -p lib/python3/site-packages/$1-1.dist-info && cd lib/python3/site-packages && mkdir -p $1
	head -c 17m /dev/urandom >$1/lib.so && ln -s lib.so $1/so && echo pip >$1-1.dist-info/INSTALLER
	printf "$1/lib.so,,\n$1/so,,\n$1-1.dist-info/RECORD,,\n" >$1-1.dist-info/RECORD
	sleep 0.7; echo "$1-1.dist-info/INSTALLER,," >>$1-1.dist-info/RECORD; cd ../../..; }
`

// installing runs install in a draft, waits until it is packed ahead, or is being, and then another script, before the
// draft settles.
func installing(t *testing.T, s *Store, o LayerOptions, half bool, meanwhile string) *Draft {
	t.Helper()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two processors")
	}
	d, err := s.Draft(t.Context(), Key{})
	check(t, err)
	t.Cleanup(func() { d.Discard() })
	root, err := d.Mount(t.Context())
	if err != nil {
		t.Skipf("cannot mount overlays here: %v", err)
	}
	d.PackAhead(t.Context(), []string{"/usr", "/"}, o)
	script(t, root, installer+"install a")
	a := &part{lists: []string{"/lib/python3/site-packages/a-1.dist-info/RECORD"}}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, packed := s.Recall(o.partKind(), a.key()); packed || half && s.guesses.busy(a.key()) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("nothing was packed ahead")
		}
	}
	script(t, root, meanwhile)
	check(t, d.Unmount())
	check(t, d.Settle())
	return d
}

// The layers are those of a store that packs nothing ahead, whatever happens after they were packed, and only what was
// changed is packed again.
func TestPackAhead(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile string
		taken     bool
	}{
		"unchanged":            {"touch other; touch lib/python3/site-packages/a/lib.so", true},
		"changed in its place": {"cd lib/python3/site-packages/a; cp -p lib.so ../old; printf x | dd of=lib.so conv=notrunc status=none; touch -r ../old lib.so; rm ../old", false},
		"another mode":         {"chmod 755 lib/python3/site-packages/a/lib.so", false},
		"another directory":    {"chmod 700 lib/python3", false},
		"removed":              {"rm -r lib/python3/site-packages/a*", false},
		"grown":                {"cd lib/python3/site-packages; echo 1 >a/more; echo a/more,, >>a-1.dist-info/RECORD", false},
		"contested":            {"cd lib/python3/site-packages; mkdir b-1.dist-info; echo a/lib.so,, >b-1.dist-info/RECORD", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			var mu sync.Mutex
			var told []string // of layers that were whole
			s.Sending = func(g *Growing) {
				if g.Size() < 0 {
					return
				}
				h, err := g.Digest()
				check(t, err)
				mu.Lock()
				told = append(told, h.String())
				mu.Unlock()
			}
			o := LayerOptions{Max: 12}
			d := installing(t, s, o, false, c.meanwhile)
			if len(told) > 0 {
				t.Error("a guess was sent")
			}
			blobs := namesIn(t, s.path("blobs", "sha256"))
			if len(blobs) != 1 {
				t.Fatalf("%d blobs were made ahead", len(blobs))
			}
			again := newStore(t)
			other, err := again.Draft(t.Context(), Key{})
			check(t, err)
			script(t, "/", "cp -a "+d.Dir()+"/. "+other.Dir())
			check(t, d.Commit(t.Context(), keyOf("a")))
			check(t, other.Commit(t.Context(), keyOf("a")))
			got, _, err := s.Layers(t.Context(), keyOf("a"), o)
			check(t, err)
			want, _, err := again.Layers(t.Context(), keyOf("a"), o)
			check(t, err)
			if got, want := digests(t, got), digests(t, want); !slices.Equal(got, want) {
				t.Errorf("layers %v, want %v", got, want)
			}
			made := "sha256:" + blobs[0]
			if taken := mustDigest(t, got[0]).String() == made; taken != c.taken || slices.Contains(told, made) != c.taken {
				t.Errorf("taken: %v, told of %v", taken, told)
			}
		})
	}
}

// What is given up leaves nothing that a later build trusts or that stays when the store is pruned.
func TestPackAheadDiscarded(t *testing.T) {
	for _, half := range []bool{false, true} {
		s := newStore(t)
		d := installing(t, s, LayerOptions{Max: 12}, half, "")
		check(t, d.Discard())
		check(t, s.Close())
		s, err := Open(s.Dir())
		check(t, err)
		defer s.Close()
		if left := slices.Concat(namesIn(t, s.path("ingest")), namesIn(t, s.path("drafts"))); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		report, err := s.Prune(t.Context(), PruneOptions{})
		check(t, err)
		if !half && report.Blobs != 1 || len(namesIn(t, s.path("blobs", "sha256"))) > 0 {
			t.Errorf("pruned %+v", report)
		}
	}
}

// What is half packed when the step ends is finished, and taken.
func TestPackAheadHalf(t *testing.T) {
	s := newStore(t)
	o := LayerOptions{Max: 12}
	d := installing(t, s, o, true, "")
	check(t, d.Commit(t.Context(), keyOf("a")))
	all, _, err := s.Layers(t.Context(), keyOf("a"), o)
	check(t, err)
	if len(all) != 2 || len(namesIn(t, s.path("blobs", "sha256"))) != 2 {
		t.Errorf("%d layers, blobs %v", len(all), namesIn(t, s.path("blobs", "sha256")))
	}
	again := newStore(t)
	change(t, again, Key{}, keyOf("a"), func(root string) { script(t, root, "cp -a "+s.snapshot(keyOf("a"), "fs")+"/. .") })
	want, _, err := again.Layers(t.Context(), keyOf("a"), o)
	check(t, err)
	if got, want := digests(t, all), digests(t, want); !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
}

// Links, pipes and lists of a hostile step lead nowhere, and nothing waits for them.
func TestAheadFinder(t *testing.T) {
	secret := t.TempDir()
	write(t, secret+"/secret", "secret")
	for name, text := range map[string]string{
		"a link for a prefix":     "mv lib " + secret + "/lib; ln -s " + secret + "/lib lib",
		"a link for a directory":  "cd lib/python3/site-packages; mv a " + secret + "/a; ln -s " + secret + "/a a",
		"a link to the host":      "cd lib/python3/site-packages; ln -s " + secret + " s; echo s/secret,, >>a-1.dist-info/RECORD",
		"the files of the host":   "cd lib/python3/site-packages; echo ../../../../../../../.." + secret + "/secret,, >>a-1.dist-info/RECORD",
		"a link for a list":       "cd lib/python3/site-packages/a-1.dist-info; mv RECORD r; ln -s r RECORD",
		"a pipe for a list":       "cd lib/python3/site-packages/a-1.dist-info; rm RECORD; mkfifo RECORD",
		"a file that is missing":  "rm lib/python3/site-packages/a/lib.so",
		"a directory":             "cd lib/python3/site-packages; mkdir a/d; echo a/d,, >>a-1.dist-info/RECORD",
		"byte code with times":    "cd lib/python3/site-packages; printf 'magi\\0\\0\\0\\0time' >a/x.pyc; echo a/x.pyc,, >>a-1.dist-info/RECORD",
		"the list of a wheel":     "cd lib/python3/site-packages/a-1.dist-info; grep -v INSTALLER RECORD >r; mv r RECORD",
		"a list without its name": "cd lib/python3/site-packages/a-1.dist-info; grep -v RECORD RECORD >r; mv r RECORD",
	} {
		dir := t.TempDir()
		script(t, dir, strings.ReplaceAll(installer, "17m", "17")+"install a")
		if got := foundAhead(t, dir); got != "a 1" {
			t.Fatalf("found %q", got)
		}
		script(t, dir, text)
		if got := foundAhead(t, dir); got != "" {
			t.Errorf("%s: found %q", name, got)
		}
		script(t, secret, "rm -rf lib a")
	}
}

func foundAhead(t *testing.T, dir string) string {
	root, err := os.Open(dir)
	check(t, err)
	f := newAheadFinder(root, []string{"/"})
	defer f.close()
	var names []string
	for range 2 {
		names = nil
		for _, d := range f.look() {
			names = append(names, d.name)
		}
	}
	return strings.Join(names, " ")
}

// A compressor that steps aside writes what any other writes, also when it need not any more, and with one worker only.
func TestCompressorStepsAside(t *testing.T) {
	data := []byte(strings.Repeat("some text that is compressed ", 1<<18))
	for _, c := range []Compression{{}, {Algorithm: "zstd"}, {Algorithm: "none"}} {
		want := layerOf(t, data, c)
		codec, err := c.codec()
		check(t, err)
		for _, when := range []int{0, len(data) / 2, len(data)} {
			var buf strings.Builder
			z, until := newCompressor(&buf, codec), make(chan struct{})
			z.stepAside(until)
			_, err := z.Write(data[:when])
			check(t, err)
			close(until)
			_, err = z.Write(data[when:])
			check(t, err)
			_, err = z.finish()
			check(t, err)
			if buf.String() != string(want.packed) {
				t.Errorf("%s: other bytes after %d", c.algorithm(), when)
			}
		}
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	all, err := os.ReadDir(dir)
	check(t, err)
	for _, d := range all {
		names = append(names, d.Name())
	}
	return names
}
