// Where everything lies in the state directory, how it is locked, and how it is taken out of use. No other file builds a path
// from a digest, a key or a name that came from outside.

package layers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/layers/lease"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// disk is a state directory.
type disk string

func (d disk) path(elements ...string) string {
	return filepath.Join(append([]string{string(d)}, elements...)...)
}

// kind is how the owners of an image's files are kept. It is the directory of the parts of which there is one for each: files of two
// kinds are never in one snapshot.
type kind string

const (
	real   kind = ""              // by the kernel
	marked kind = statedir.Marked // as marks
	lossy  kind = statedir.Lossy  // as marks, where not all can be had
)

var kinds = []kind{real, marked, lossy}

// ownKind is the kind of the files that this process makes.
func ownKind() kind {
	switch {
	case rootfs.Lossy():
		return lossy
	case rootfs.Marked():
		return marked
	}
	return real
}

// within are the kinds of files that this process can remove. Those of others may belong to ids, or be in directories, that it has no
// power over.
func within() []kind { return kinds[slices.Index(kinds, ownKind()):] }

// of is where something of a kind lies, own of the kind of this process.
func (d disk) of(k kind, elements ...string) string {
	return d.path(append([]string{string(k)}, elements...)...)
}

// entry is what the snapshot of a state of a kind is called in leases.
func (is kind) entry(k Key) lease.Entry {
	return lease.Entry(map[kind]string{real: "k ", marked: "m ", lossy: "l "}[is] + k.String())
}

// blobEntry is what a blob is called there.
func blobEntry(hex string) lease.Entry { return lease.Entry("b " + hex) }

func (d disk) own(elements ...string) string { return d.of(ownKind(), elements...) }

// lock waits for the lock of that name.
func (d disk) lock(ctx context.Context, name string) (*os.File, error) {
	return durable.Lock(ctx, d.path("locks", name), durable.Exclusive)
}

// blob returns where a blob lies. It is the one gate between digests and file names.
func (d disk) blob(h v1.Hash) (string, error) {
	if h.Algorithm != "sha256" || len(h.Hex) != 2*sha256.Size {
		return "", fmt.Errorf("parsing digest %q: want sha256 and 64 hexadecimal digits", h)
	}
	for _, c := range h.Hex {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("parsing digest %q: want 64 lower-case hexadecimal digits", h)
		}
	}
	return d.path("blobs", "sha256", h.Hex), nil
}

// record returns where a record lies. A kind that is no plain name is replaced by its digest.
func (d disk) record(kind string, k Key) string {
	for _, c := range kind {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			sum := sha256.Sum256([]byte(kind))
			kind = "x" + hex.EncodeToString(sum[:])
			break
		}
	}
	if kind == "" {
		kind = "x"
	}
	return d.path("records", kind, k.String())
}

// name returns where the record of the name of an image lies.
func (d disk) name(name string) string {
	sum := sha256.Sum256([]byte(name))
	return d.path("names", hex.EncodeToString(sum[:])+".json")
}

// snapshot returns where a snapshot of this process's kind, or a part of one, lies.
func (d disk) snapshot(k Key, elements ...string) string {
	return d.own(append([]string{"snapshots", k.String()}, elements...)...)
}

// reapOne removes a lock file (or a half-written blob) that nobody holds, and the draft that lies beside it.
func (d disk) reapOne(path string) {
	held, err := durable.TryLock(path, durable.Exclusive)
	if err != nil {
		return
	}
	defer held.Close()
	if draft, ok := strings.CutSuffix(path, ".lock"); !ok || d.discard(draft) == nil {
		os.Remove(path)
	}
}

// discard takes a tree out of use at once. The removal of its files follows.
func (d disk) discard(path string) error {
	err := os.Rename(path, d.own("trash", rand.Text()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d disk) emptyTrash() {
	for _, k := range within() {
		left, _ := os.ReadDir(d.of(k, "trash"))
		for _, l := range left {
			os.RemoveAll(d.of(k, "trash", l.Name()))
		}
	}
}

// explain adds what to do to an error of a full disk.
func (d disk) explain(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return hint.Wrap(err, "free some space in "+string(d)+", for example with `gbuild prune`, or put the store elsewhere")
	}
	return err
}
