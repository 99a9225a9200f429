// This file owns recipes: descriptions that become keys.

package build

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strconv"

	"github.com/gbuild/gbuild/pkg/layers"
)

// keyVersion is part of every key: a change of what a step does to files, for the same recipe, must raise it.
const keyVersion = "gbuild-step-2"

// recipe writes the description of a step, every field framed by its length, so that no two descriptions are the same
// bytes: the encoding is injective.
type recipe struct{ h hash.Hash }

func newRecipe(kind string, parent layers.Key) recipe {
	r := recipe{sha256.New()}
	r.text(keyVersion, kind)
	r.bytes(parent[:])
	return r
}

func (r recipe) bytes(b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	r.h.Write(n[:])
	r.h.Write(b)
}

func (r recipe) text(fields ...string) {
	for _, f := range fields {
		r.bytes([]byte(f))
	}
}

// list frames the fields as one: ["a"], ["b"] differs from ["a", "b"].
func (r recipe) list(fields []string) {
	r.text(strconv.Itoa(len(fields)))
	r.text(fields...)
}

func (r recipe) key() (k layers.Key) {
	r.h.Sum(k[:0])
	return k
}
