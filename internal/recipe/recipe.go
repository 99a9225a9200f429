// Package recipe turns descriptions into keys: each field is framed by its length, so that no two descriptions are the same
// bytes, and so have the same key.
package recipe

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strconv"

	"github.com/gbuild/gbuild/pkg/layers"
)

// keyVersion is part of every key: a change of what a step does to files, for the same recipe, must raise it.
const keyVersion = "gbuild-step-2"

// Recipe writes the description of a step. The encoding is injective.
type Recipe struct{ h hash.Hash }

// New begins the description of a kind of step over a parent.
func New(kind string, parent layers.Key) Recipe {
	r := Recipe{sha256.New()}
	r.Text(keyVersion, kind)
	r.Bytes(parent[:])
	return r
}

// Bytes adds one field.
func (r Recipe) Bytes(b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	r.h.Write(n[:])
	r.h.Write(b)
}

// Text adds a field for each text.
func (r Recipe) Text(fields ...string) {
	for _, f := range fields {
		r.Bytes([]byte(f))
	}
}

// List frames the fields as one: ["a"], ["b"] differs from ["a", "b"].
func (r Recipe) List(fields []string) {
	r.Text(strconv.Itoa(len(fields)))
	r.Text(fields...)
}

// Key is what the description is hashed to.
func (r Recipe) Key() (k layers.Key) {
	r.h.Sum(k[:0])
	return k
}
