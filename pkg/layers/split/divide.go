// Dividing a snapshot: which distributions get a layer, alone or together.

package split

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// MaxLayers is the most layers that one snapshot should become.
const MaxLayers = 12

const (
	// A layer costs a request when it is pushed, a directory of the mount when it runs: what is smaller than this is not
	// worth one of its own.
	worthLayer = 16 << 20
	// Distributions under this stay with the rest: they change together with all that is small.
	worthMoving = 1 << 20
)

// Part is what one layer of a split snapshot has.
type Part struct {
	Names []string // the names of its distributions
	Files []string
	Size  int64
}

// add takes a distribution in.
func (p *Part) add(d *Distribution) {
	p.Names = append(p.Names, d.Name)
	p.Files = append(p.Files, d.Files...)
	p.Size += d.Size
}

// Divide says which distributions get layers, n of them with that of the rest: each of the largest its own; then those
// that are as large but too many, and those of middling size, one layer for each sort, so that the rest, which changes
// with every change, is small. The order is by name.
func Divide(all []*Distribution, n int) []*Part {
	// With one layer there is nothing to divide.
	if n < 2 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *Distribution) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.List, b.List))
	})
	var large, middling []*Distribution
	var small int64
	for _, d := range all {
		switch {
		case d.Size >= worthLayer:
			large = append(large, d)
		case d.Size >= worthMoving:
			middling = append(middling, d)
			small += d.Size
		}
	}
	// One of the n layers is that of the rest.
	room := n - 1
	if small < worthLayer || room < 2 {
		middling = nil
	} else {
		room--
	}
	own, many := large[:min(len(large), room)], large[min(len(large), room):]
	if len(many) > 0 && room > 1 {
		own, many = large[:room-1], large[room-1:]
	} else {
		many = nil
	}
	var parts []*Part
	slices.SortFunc(own, func(a, b *Distribution) int { return strings.Compare(a.List, b.List) })
	for _, d := range own {
		parts = append(parts, NewPart(d))
	}
	for _, together := range [][]*Distribution{many, middling} {
		if len(together) > 0 {
			parts = append(parts, NewPart(together...))
		}
	}
	return parts
}

// NewPart returns the part that distributions make.
func NewPart(all ...*Distribution) *Part {
	p := &Part{}
	slices.SortFunc(all, func(a, b *Distribution) int { return strings.Compare(a.List, b.List) })
	for _, d := range all {
		p.add(d)
	}
	slices.Sort(p.Files)
	return p
}

// Apart returns the files of parts.
func Apart(parts []*Part) *rootfs.Apart {
	var lists [][]string
	for _, p := range parts {
		lists = append(lists, p.Files)
	}
	return rootfs.NewApart(lists...)
}
