// What of a draft is compressed while a command still writes into it.

package layers

import (
	"context"
	"os"

	"github.com/gbuild/gbuild/pkg/layers/split"
)

// PackAhead starts to compress the large files of Python distributions that are installed into the draft below prefixes
// (of which lib/python3.X/site-packages is a part), for a later call of Layers with the same options. One processor is
// left to others, so on a machine with no other one it does nothing. It ends with the draft.
func (d *Draft) PackAhead(ctx context.Context, prefixes []string, o LayerOptions) {
	if split.Workers() < 1 || d.ahead != nil {
		return
	}
	root, err := os.Open(d.Dir())
	if err != nil {
		return
	}
	blocks, err := d.store.maker.newBlocks(o.Compression)
	if err != nil {
		root.Close()
		return
	}
	d.ahead = split.NewAhead(root, prefixes, blocks, func(name string) bool {
		_, known := d.store.records.recall(o.partKind(), partKey([]string{name}))
		return known
	})
	go d.ahead.Run(ctx)
}

// endAhead lets no more be compressed ahead, and drops what was.
func (d *Draft) endAhead() {
	if a := d.ahead; a != nil {
		d.ahead = nil
		a.Stop()
		a.Close()
	}
}

// keepAhead lets no more be compressed ahead, and keeps what was for the layers of the state k.
func (d *Draft) keepAhead(k Key) {
	a := d.ahead
	if a == nil {
		return
	}
	d.ahead = nil
	a.Stop()
	if !d.store.aheads.keep(k, a) {
		d.store.beside.Go(a.Close)
	}
}
