package build

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/madeimage"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/layers"
)

// What a shared cache says must never be used by a build that does not read it. These tests give builds a cache whose
// entries were all changed by an attacker, and then build without it. Each has a control: a build that does read the cache
// has the attacker's files.

// poison changes all entries: those of steps have the layer too, and claim to be the state named claim; digests are
// sum, times are of 1990, and indexes are those of other, where it has one of as many snapshots.
func (s *repository) poison(t *testing.T, layer v1.Layer, claim, sum layers.Key, other *repository) {
	t.Helper()
	for tag, img := range s.images {
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		all, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		all = slices.Clone(all)
		var result layers.Key
		if err := result.UnmarshalText([]byte(config.Config.Labels[resultLabel])); err != nil {
			t.Fatal(err)
		}
		switch {
		case len(all) == 0 && bytes.Equal(result[8:], make([]byte, 24)):
			result = timeKey(in1990)
		case len(all) == 0:
			result = sum
		case isIndex(t, all[0]):
			if lie := other.indexesOf(t, len(all)); lie != nil {
				all = lie
			}
		default:
			all, result = append(all, layer), claim
		}
		s.images[tag] = rewritten(t, config, result, all)
	}
}

// resultLabel is where entries have their result: see package sharedcache.
const resultLabel = "gbuild.result"

// rewritten is an entry with another result, or other layers.
func rewritten(t *testing.T, entry *v1.ConfigFile, result layers.Key, all []v1.Layer) v1.Image {
	t.Helper()
	config := entry.DeepCopy()
	config.Config.Labels[resultLabel] = result.String()
	config.RootFS.DiffIDs, config.History = []v1.Hash{}, nil
	for _, l := range all {
		id, err := l.DiffID()
		if err != nil {
			t.Fatal(err)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, id)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	img, err := madeimage.New(raw, all)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func isIndex(t *testing.T, l v1.Layer) bool {
	t.Helper()
	mt, err := l.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	return mt == indexType
}

// indexesOf finds an entry of indexes of n snapshots.
func (s *repository) indexesOf(t *testing.T, n int) []v1.Layer {
	t.Helper()
	for _, tag := range slices.Sorted(maps.Keys(s.images)) {
		all, err := s.images[tag].Layers()
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == n && isIndex(t, all[0]) {
			return all
		}
	}
	return nil
}

// evil is the layer that an attacker adds, with a file /evil.
func evil(t *testing.T) v1.Layer {
	t.Helper()
	list, err := newBench(t).build("FROM scratch\nRUN write evil x\n").Image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// in1990 is when the attacker's images were made.
var in1990 = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

func createdOf(t *testing.T, r *Result) time.Time {
	t.Helper()
	config, err := r.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.Created.Time
}

func withFiles(r *Request) { r.Files = true }

// has says whether a state has a file.
func (b *bench) has(k layers.Key, name string) bool {
	b.Helper()
	v, err := b.Store.View(k)
	if err != nil {
		b.Fatal(err)
	}
	_, err = v.Lstat(name)
	return err == nil
}

// wantUntouched builds without any cache, and with another one, what a clean machine builds, and compares all.
func (b *bench) wantUntouched(text string) {
	b.Helper()
	clean := b.machine()
	clean.Fetch = b.Fetch
	want := clean.mustTry(text, atEpoch, withFiles)
	var empty repository
	for _, cache := range []*sharedcache.Cache{nil, {Place: "elsewhere", Open: empty.open, Write: empty.write}} {
		got := b.mustTry(text, atEpoch, share(cache, nil), withFiles)
		if a, c := digestOf(b.T, got), digestOf(b.T, want); a != c {
			b.Errorf("after the attack, without its cache, the image is %v and not %v", a, c)
		}
		assertSameFiles(b.T, b.Store, got.Key, clean.Store, want.Key)
	}
}

func TestWhatACacheBringsIsForItsReadersOnly(t *testing.T) {
	texts := map[string]string{
		"steps":         threeSteps + "RUN write z 1\n",
		"a stage":       "FROM scratch AS one\nRUN write x 1\nFROM scratch\nCOPY --from=one /x /x\nRUN write y 2\n",
		"a bind":        "FROM scratch AS one\nRUN write x 1\nFROM scratch\nRUN --mount=from=one,target=/m mount x\nCOPY f /f\n",
		"a linked COPY": "FROM base\nRUN write x 1\nCOPY --link f /f\n",
		"a base":        "FROM base\nCOPY f /f\nWORKDIR /w\n",
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			first := newBench(t)
			first.file("f", "1")
			first.withBase(floatBase)
			var repo repository
			made := first.mustTry(text, atEpoch, share(nil, repo.cache("")))
			repo.poison(t, evil(t), made.Key, layers.Key{7}, &repository{})
			victim := first.machine()
			victim.Fetch = first.Fetch
			for range 2 {
				attacked := victim.mustTry(text, atEpoch, share(repo.cache(""), nil), withFiles)
				if !victim.has(attacked.Key, "/evil") {
					t.Error("control: a build that reads the cache has not what is in it")
				}
				victim.mustTry(text+"RUN write more 1\n", atEpoch, share(repo.cache(""), repo.cache("pr")), withFiles)
			}
			victim.wantUntouched(text)
			victim.wantUntouched(text + "RUN write more 1\n")
		})
	}
}

// TestEntryNamesNoOtherState gives the entry of one project's step the name of another project's.
func TestEntryNamesNoOtherState(t *testing.T) {
	const theirs, ours = "FROM scratch\nRUN write a theirs\n", "FROM scratch\nRUN write a ours\n"
	first := newBench(t)
	var repo repository
	first.build(theirs, share(nil, repo.cache("")))
	repo.poison(t, evil(t), first.build(ours).Key, layers.Key{}, &repository{})
	victim := first.machine()
	attacked := victim.mustTry(theirs, share(repo.cache(""), nil), withFiles)
	if !victim.has(attacked.Key, "/evil") {
		t.Error("control: the entry was not taken at all")
	}
	for _, cache := range []*sharedcache.Cache{nil, repo.cache("")} { // with the cache as well: it has no entry of ours
		victim.mustTry(ours, share(cache, nil), withFiles)
		victim.wantRan(map[bool][]string{true: {"write a ours"}}[cache == nil]...)
		victim.wantUntouched(ours)
	}
}

// TestDigestThatACacheClaimsNamesNothing lets a cache say that what a stage of the attacker made is what a stage of ours
// makes.
func TestDigestThatACacheClaimsNamesNothing(t *testing.T) {
	const stage = "FROM scratch AS one\nRUN write x good\n"
	for _, text := range []string{
		stage + "FROM scratch\nCOPY --from=one /x /x\n", stage + "FROM scratch\nRUN --mount=from=one,target=/m copy x\n",
		"FROM scratch\nCOPY --from=good.example/x /x /x\n", "FROM scratch\nRUN --mount=from=good.example/x,target=/m copy x\n",
	} {
		ours, theirs := text, strings.Replace(text, "good", "evil", 1)
		first := newBench(t)
		images := map[string]v1.Image{"": nil}
		for _, name := range []string{"good", "evil"} {
			images[name+".example/x"] = first.machine().build("FROM scratch\nRUN write x " + name + "\n").Image
		}
		first.Fetch = func(_ context.Context, ref string, _ v1.Platform) (v1.Image, error) { return images[ref], nil }
		var repo, trusted repository
		first.mustTry(theirs, atEpoch, share(nil, repo.cache("")))
		first.mustTry(ours, atEpoch, share(nil, trusted.cache("")))
		for tag := range repo.images { // only digests are left
			if all, _ := repo.images[tag].Layers(); len(all) > 0 {
				delete(repo.images, tag)
			}
		}
		repo.poison(t, evil(t), layers.Key{}, trusted.digest(t), &repository{})
		victim := first.machine()
		victim.Fetch = first.Fetch
		victim.mustTry(theirs, atEpoch, share(repo.cache(""), nil), withFiles)
		victim.wantUntouched(ours)
		victim.wantUntouched(theirs)
	}
}

// digest is the one that the entries have of a selection.
func (s *repository) digest(t *testing.T) (k layers.Key) {
	t.Helper()
	for _, img := range s.images {
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		var result layers.Key
		all, _ := img.Layers()
		if err := result.UnmarshalText([]byte(config.Config.Labels[resultLabel])); err == nil && len(all) == 0 && !bytes.Equal(result[8:], make([]byte, 24)) {
			return result
		}
	}
	t.Fatal("no entry has a digest")
	return k
}

// TestIndexOfACacheIsForItsReadersOnly lets a cache say that ann is root, and that files are there which are not.
func TestIndexOfACacheIsForItsReadersOnly(t *testing.T) {
	for _, end := range []string{"COPY --chown=ann src /app\n", "USER ann\nWORKDIR /srv/app\n", "COPY one.txt /app/old/f\n", "COPY src /app/src\nCOPY --chown=ann one.txt /app/\n"} {
		first, liar := newBench(t), newBench(t)
		floatContext(first)
		liar.context = first.context
		first.withBase(lightBase)
		liar.withBase(strings.Replace(lightBase, "1234:1235", "0:0", 1))
		text := "FROM base\n" + end
		var repo, lies repository
		first.mustTry(text, atEpoch, share(nil, repo.cache("")))
		liar.mustTry(text, atEpoch, share(nil, lies.cache("")))
		repo.poison(t, evil(t), layers.Key{}, layers.Key{}, &lies)
		for tag := range repo.images { // the layers of the steps are made here
			if all, _ := repo.images[tag].Layers(); len(all) > 0 && !isIndex(t, all[0]) {
				delete(repo.images, tag)
			}
		}
		victim := first.machine()
		victim.Fetch = first.Fetch
		attacked := victim.mustTry(text, atEpoch, share(repo.cache(""), nil))
		if strings.Contains(end, "ann") && digestOf(t, attacked) == digestOf(t, first.mustTry(text, atEpoch)) {
			t.Error("control: a build that reads the cache was not misled by its index")
		}
		victim.wantUntouched(text)
	}
}

// TestTimeOfACacheIsForItsReadersOnly lets a cache say that the image is of 1990.
func TestTimeOfACacheIsForItsReadersOnly(t *testing.T) {
	const text = "FROM scratch\nCOPY f /f\n" // whose layer is the same whenever it is made
	first := newBench(t)
	first.file("f", "1")
	var repo repository
	first.build(text, share(nil, repo.cache("")))
	repo.poison(t, evil(t), layers.Key{}, layers.Key{}, &repository{})
	for tag := range repo.images {
		if all, _ := repo.images[tag].Layers(); len(all) > 0 {
			delete(repo.images, tag)
		}
	}
	victim := first.machine()
	for range 2 {
		if at := createdOf(t, victim.build(text, share(repo.cache(""), nil))); !at.Equal(in1990) {
			t.Errorf("control: a build that reads the cache is of %v", at)
		}
	}
	if at := createdOf(t, victim.build(text)); at.Equal(in1990) {
		t.Error("a build without the cache has its time")
	}
}
