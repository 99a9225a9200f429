// The names in a directory, which may be a million: they are read, sorted and merged without an entry for each.

package rootfs

import (
	"bytes"
	"cmp"
	"io"
	"iter"
	"os"
	"slices"
)

// Names are the names in a directory, or in several that are shown as one. A directory may have a million, so they lie in one text,
// and take 25 bytes each. The zero Names is empty.
type Names struct {
	text   []byte // each name ends with NUL
	all    []nameIn
	parts  uint32
	sorted bool
}

// nameIn is where in the text a name begins, and in the how many-th directory it is.
type nameIn struct{ start, part uint32 }

// Read adds the names in an open directory. What was read before it lies above.
func (n *Names) Read(dir *os.File) error {
	part := n.begin()
	for {
		some, err := dir.Readdirnames(1024)
		for _, name := range some {
			n.add(name, part)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// begin starts the names of one more directory, and says the how many-th it is.
func (n *Names) begin() (part uint32) {
	part = n.parts
	n.parts, n.sorted = part+1, false
	return part
}

// readDirs is Read of the directories at paths, the uppermost first.
func (n *Names) readDirs(paths []string) error {
	var parts []part
	for _, path := range paths {
		parts = append(parts, part{disk{}, path})
	}
	return n.readParts(parts)
}

// readParts is Read of the parts of a directory, the uppermost first.
func (n *Names) readParts(parts []part) error {
	for _, p := range parts {
		if err := p.level.names(p.at, n); err != nil {
			return err
		}
	}
	return nil
}

// add appends a name of the directory part.
func (n *Names) add(name string, part uint32) {
	n.all = append(n.all, nameIn{uint32(len(n.text)), part})
	n.text = append(append(n.text, name...), 0)
}

// at returns the text of a name.
func (n *Names) at(i nameIn) []byte {
	rest := n.text[i.start:]
	return rest[:bytes.IndexByte(rest, 0)]
}

// All yields the names, sorted, each once, and with it the number of the uppermost directory that has it: 0 is the one that
// was read first.
func (n *Names) All() iter.Seq2[string, int] {
	if !n.sorted {
		slices.SortFunc(n.all, func(a, b nameIn) int {
			return cmp.Or(bytes.Compare(n.at(a), n.at(b)), cmp.Compare(a.part, b.part))
		})
		n.sorted = true
	}
	return func(yield func(string, int) bool) {
		var last []byte
		for i, at := range n.all {
			name := n.at(at)
			if (i == 0 || !bytes.Equal(name, last)) && !yield(string(name), int(at.part)) {
				return
			}
			last = name
		}
	}
}

// Chunks yields what All does, without the directories and up to size names at a time. Each list is a new one.
func (n *Names) Chunks(size int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		some := make([]string, 0, min(size, len(n.all)))
		for name := range n.All() {
			if some = append(some, name); len(some) == size {
				if !yield(some) {
					return
				}
				some = make([]string, 0, size)
			}
		}
		if len(some) > 0 {
			yield(some)
		}
	}
}
