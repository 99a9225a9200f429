package build

import (
	"bytes"
	"io"
	"os"
	"slices"
)

// nameList has the names of a directory, sorted. A million takes 20 MB.
type nameList struct {
	text   vector[byte] // each ends with NUL
	starts vector[uint32]
}

// readNames reads the names of an open directory.
func readNames(dir *os.File) (*nameList, error) {
	n := &nameList{}
	for {
		some, err := dir.Readdirnames(1024)
		for _, name := range some {
			n.add(name)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			n.free()
			return nil, err
		}
	}
	slices.SortFunc(n.starts.list, func(a, b uint32) int { return bytes.Compare(n.at(a), n.at(b)) })
	return n, nil
}

func (n *nameList) add(name string) {
	start := len(n.text.list)
	if need := start + len(name) + 1; need > cap(n.text.list) {
		n.text.reserve(max(need, 2*cap(n.text.list)))
	}
	n.text.list = append(append(n.text.list, name...), 0)
	n.starts.add(uint32(start))
}

func (n *nameList) len() int { return len(n.starts.list) }

func (n *nameList) at(start uint32) []byte {
	rest := n.text.list[start:]
	return rest[:bytes.IndexByte(rest, 0)]
}

// slice returns the names from one index to another.
func (n *nameList) slice(from, to int) []string {
	some := make([]string, 0, to-from)
	for _, start := range n.starts.list[from:to] {
		some = append(some, string(n.at(start)))
	}
	return some
}

func (n *nameList) free() {
	n.text.free()
	n.starts.free()
}
