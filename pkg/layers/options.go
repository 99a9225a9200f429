// How layers are made, and the kinds of records that say so. A kind is a part of the disk format: an old one is found by its
// name, so it must not change.

package layers

import (
	"fmt"
	"math"

	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// baseKind is the record of a layer that came from an image: it is what it is, whatever compression is asked for.
const baseKind = "layer"

// From which size on a blob is sent while it still grows.
const (
	// A smaller one is done in no time, and then its digest can be asked for before a byte is sent.
	sendFrom = 4 << 20
	// One that other machines may have made before, to the byte, is asked for in any case.
	sendWhole = math.MaxInt64
	sendNever = -1
)

// LayerOptions say what layers are made of a snapshot.
type LayerOptions struct {
	codec.Compression
	Epoch *int64 // see DiffOptions
	Aside bool   // the layers are not of the image that Sending waits for
	Index bool   // keep an index of what Pack and Draft.Layers make
	Alone bool   // the layers have all files of the snapshot, also those that are the same below it
	Whole bool   // Pack makes one layer, also where Layers could make several
	Max   int    // layers that one snapshot may become, one for each of its large Python distributions; 0 or 1: all is one

	Report func(bytes int) // if not nil, is told of each block of a tar when it is compressed, by several goroutines

	blocks *codec.Blocks // blocks of large files that were made ahead
}

// sendFrom is the size from which a blob is sent that is sent from size on otherwise.
func (o LayerOptions) sendFrom(size int64) int64 {
	if o.Aside {
		return sendNever
	}
	return size
}

// kind names the records of layers that are made in this way.
func (o LayerOptions) kind() string { return fmt.Sprintf("%s-%d", o.wayKind(), max(o.Max, 1)) }

// madeKind names those that this process makes of files. Where files may have lost their owners, nobody else is to have them.
func (o LayerOptions) madeKind() string {
	if rootfs.Lossy() {
		return o.kind() + lossyKind
	}
	return o.kind()
}

// lossyKind ends the kinds of layers that were made of files which may have lost their owners.
const lossyKind = "-lossy"

// wayKind names compression and epoch.
func (o LayerOptions) wayKind() string {
	epoch := "no"
	if o.Epoch != nil {
		epoch = fmt.Sprint(*o.Epoch)
	}
	return fmt.Sprintf("%s-%s-%d-%s", baseKind, o.Name(), o.Level, epoch)
}

// filesKind is the kind of the records that keep indexes, under the layers of the snapshot, and of who says so.
const filesKind = "index-2"
