package layers

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// SettledTime is the time (Unix seconds) that files of distributions get, so that equal ones are equal on every day: a
// day after the oldest that a zip archive can hold, in every time zone.
const SettledTime = 315619200

// MaxSplit is the most layers that one snapshot should become.
const MaxSplit = 12

const (
	// A layer costs a request when it is pushed, a directory of the mount when it runs: what is smaller than this is not
	// worth one of its own.
	worthLayer = 16 << 20
	// Distributions under this stay with the rest: they change together with all that is small.
	worthMoving = 1 << 20
)

// part is what one layer of a split snapshot has.
type part struct {
	names []string // of its distributions
	files []string
	size  int64
}

func (p *part) add(d *distribution) {
	p.names = append(p.names, d.name)
	p.files = append(p.files, d.files...)
	p.size += d.size
}

// divide says which distributions get layers, n of them with that of the rest: each of the largest its own; then those
// that are as large but too many, and those of middling size, one layer for each sort, so that the rest, which changes
// with every change, is small. The order is by name.
func divide(all []*distribution, n int) []*part {
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
	var parts []*part
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

func partOf(all ...*distribution) *part {
	p := &part{}
	slices.SortFunc(all, func(a, b *distribution) int { return strings.Compare(a.list, b.list) })
	for _, d := range all {
		p.add(d)
	}
	slices.Sort(p.files)
	return p
}

// apart is what of a snapshot is in layers that lie below that of the rest.
type apart struct {
	files map[string]bool
	dirs  map[string]bool // and all directories that they are in
}

func newApart(parts []*part) *apart {
	a := &apart{files: map[string]bool{}, dirs: map[string]bool{}}
	for _, p := range parts {
		for _, name := range p.files {
			a.files[name] = true
			for dir := path.Dir(name); !a.dirs[dir]; dir = path.Dir(dir) {
				a.dirs[dir] = true
			}
		}
	}
	return a
}

// holds says whether the file is in a layer of its own.
func (a *apart) holds(name string) bool { return a != nil && a.files[name] }

// below says whether such a file is in or below the directory.
func (a *apart) below(dir string) bool { return a != nil && a.dirs[dir] }

// write writes the tar of a part of a snapshot. Every directory on the way is in it, since Docker unpacks
// each layer into an empty directory, and each has the same time in every build: the layer of the rest, which lies above,
// sets it right where it matters.
func (p *part) write(ctx context.Context, w io.Writer, snapshot string, epoch *int64) error {
	d := newDiffer(ctx, w, nil, DiffOptions{Epoch: epoch})
	made := map[string]bool{"/": true}
	for _, name := range p.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := d.parents(snapshot, path.Dir(name), made); err != nil {
			return err
		}
		e, err := lstat(snapshot+name, name)
		if err != nil {
			return err
		}
		if err := d.file(e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return d.tar.Close()
}

// parents writes the directories down to dir that are not made yet.
func (d *differ) parents(snapshot, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := d.parents(snapshot, path.Dir(dir), made); err != nil {
		return err
	}
	e, err := lstat(snapshot+dir, dir)
	if err != nil {
		return err
	}
	e.ModTime = time.Unix(SettledTime, 0)
	return d.header(e, nil, nil)
}
