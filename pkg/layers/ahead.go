package layers

import (
	"cmp"
	"context"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often is looked for distributions that are complete.
const lookEvery = 500 * time.Millisecond

// ahead makes layers of the large distributions of a draft while the command that installs them still runs. It only guesses:
// Layers finds what it made by the digest of the tar of the files that are there in the end, so whatever happens to them
// meanwhile costs the time that was spent on them, and no more.
type ahead struct {
	store   *Store
	finder  *aheadFinder
	options LayerOptions
	begun   map[string]int64 // sizes of the distributions that were packed, by their lists
	cancel  context.CancelFunc
	over    chan struct{} // closed when nothing more is to begin
	ended   chan struct{}
}

// PackAhead starts to make layers of the large Python distributions that are installed into the draft below prefixes (of
// which lib/python3.X/site-packages is a part), for a later call of Layers with the same options. On a machine with one
// processor it does nothing. It begins no more when the draft ends; after a Commit, what is begun is finished.
func (d *Draft) PackAhead(ctx context.Context, prefixes []string, o LayerOptions) {
	if o.Max < 2 || runtime.GOMAXPROCS(0) < 2 || d.ahead != nil {
		return
	}
	root, err := os.Open(d.Dir())
	if err != nil {
		return
	}
	a := &ahead{store: d.store, finder: newAheadFinder(root, prefixes), options: o, begun: map[string]int64{},
		over: make(chan struct{}), ended: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(ctx)
	d.ahead = a
	d.store.guesses.all.Store(a, true)
	go a.run(ctx)
}

func (a *ahead) run(ctx context.Context) {
	defer close(a.ended)
	defer a.store.guesses.all.Delete(a)
	defer a.finder.close()
	for tick := time.NewTicker(lookEvery); ; {
		for p := a.next(); p != nil; p = a.next() {
			a.pack(ctx, p)
		}
		select {
		case <-a.over:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// next returns the largest distribution that is complete and, for all that is known now, will have a layer of its own. Where
// as many were packed as have, only one far larger than one of those is worth it: some of equal ones would be for nothing.
func (a *ahead) next() *part {
	select {
	case <-a.over:
		return nil
	default:
	}
	parts := slices.DeleteFunc(divide(a.finder.look(), a.options.Max), func(p *part) bool {
		_, begun := a.begun[p.lists[0]]
		return begun || len(p.lists) > 1 || p.size < a.worth()
	})
	if len(parts) == 0 {
		return nil
	}
	p := slices.MaxFunc(parts, func(p, q *part) int { return cmp.Compare(p.size, q.size) })
	a.begun[p.lists[0]] = p.size
	return p
}

// worth is the size from which one more is packed.
func (a *ahead) worth() int64 {
	if len(a.begun) < a.options.Max {
		return worthLayer
	}
	return 2 * slices.Min(slices.Collect(maps.Values(a.begun)))
}

// pack makes the layer of a part, unless there is one of such a distribution: then it is likely to be the same.
func (a *ahead) pack(ctx context.Context, p *part) {
	g := &a.store.guesses
	if _, known := a.store.Recall(a.options.partKind(), p.key()); known || !g.begin(p.key()) {
		return
	}
	defer g.end(p.key())
	o := a.options
	o.Aside, o.polite = true, a.over
	r, err := a.store.packPart(ctx, a.finder.settled, p, o)
	if err == nil {
		g.made.Store(r.Digest, true)
	}
}

// endAhead lets no more be packed ahead. What is begun goes on if the draft has become a snapshot.
func (d *Draft) endAhead(committed bool) {
	a := d.ahead
	if a == nil {
		return
	}
	d.ahead = nil
	close(a.over)
	if !committed {
		a.cancel()
		<-a.ended
	}
}

// guesses are the parts that this process packs ahead.
type guesses struct {
	all     sync.Map // *ahead that are under way
	packing sync.Map // part.key -> chan struct{}, closed at the end
	made    sync.Map // v1.Hash of a blob that nobody was told of yet
}

// begin says that a part is being packed, unless it is already.
func (g *guesses) begin(k Key) bool {
	_, busy := g.packing.LoadOrStore(k, make(chan struct{}))
	return !busy
}

func (g *guesses) end(k Key) {
	if ended, ok := g.packing.LoadAndDelete(k); ok {
		close(ended.(chan struct{}))
	}
}

// busy says whether a part is being packed.
func (g *guesses) busy(k Key) bool {
	_, ok := g.packing.Load(k)
	return ok
}

// wait returns when a part is not being packed.
func (g *guesses) wait(ctx context.Context, k Key) error {
	ended, ok := g.packing.Load(k)
	if !ok {
		return nil
	}
	select {
	case <-ended.(chan struct{}):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close gives up what is under way.
func (g *guesses) close() {
	g.all.Range(func(a, _ any) bool {
		a.(*ahead).cancel()
		<-a.(*ahead).ended
		return true
	})
}

// confirm tells of a blob that was packed ahead and turned out right.
func (s *Store) confirm(r layerRecord) {
	if _, ok := s.guesses.made.LoadAndDelete(r.Digest); ok && s.Sending != nil {
		g := &Growing{store: s, size: r.Size, ended: true, sum: r.Digest}
		g.more.L = &g.mu
		s.Sending(g)
	}
}
