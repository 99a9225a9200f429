package layers

import (
	"cmp"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"slices"
	"strings"
)

// MaxSplit is the most layers that one snapshot should become.
const MaxSplit = 12

const (
	// A layer costs a request when it is pushed, a directory of the mount when it runs: what is smaller than this is not
	// worth one of its own.
	worthLayer = 16 << 20
	// Distributions under this stay with the rest: they change together with all that is small.
	worthMoving = 1 << 20
)

// Part is what one layer of a split snapshot has.
type Part struct {
	names []string // of its distributions
	files []string
	size  int64
}

func (p *Part) add(d *distribution) {
	p.names = append(p.names, d.name)
	p.files = append(p.files, d.files...)
	p.size += d.size
}

// divide says which distributions get layers, n of them with that of the rest: each of the largest its own; then those
// that are as large but too many, and those of middling size, one layer for each sort, so that the rest, which changes
// with every change, is small. The order is by name.
func divide(all []*distribution, n int) []*Part {
	if n < 2 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *distribution) int {
		return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.list, b.list))
	})
	var large, middling []*distribution
	var small int64
	for _, d := range all {
		switch {
		case d.size >= worthLayer:
			large = append(large, d)
		case d.size >= worthMoving:
			middling = append(middling, d)
			small += d.size
		}
	}
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
	slices.SortFunc(own, func(a, b *distribution) int { return strings.Compare(a.list, b.list) })
	for _, d := range own {
		parts = append(parts, partOf(d))
	}
	for _, together := range [][]*distribution{many, middling} {
		if len(together) > 0 {
			parts = append(parts, partOf(together...))
		}
	}
	return parts
}

func partOf(all ...*distribution) *Part {
	p := &Part{}
	slices.SortFunc(all, func(a, b *distribution) int { return strings.Compare(a.list, b.list) })
	for _, d := range all {
		p.add(d)
	}
	slices.Sort(p.files)
	return p
}

// apart returns the files of parts.
func apart(parts []*Part) *rootfs.Apart {
	var lists [][]string
	for _, p := range parts {
		lists = append(lists, p.files)
	}
	return rootfs.NewApart(lists...)
}
