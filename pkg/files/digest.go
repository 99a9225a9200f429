// This file owns digests of what a COPY or a bind mount takes of a tree: they are part of the keys of steps.
// The records of a digest are in the order of the walk, which is sorted; only the reading of files is done side by side. What
// a record has must never change: it is what all stores have keyed their steps by.

package files

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"path"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/remote"
)

// DigestCopy returns a digest of everything that a COPY or ADD selects: bytes, types, modes, owners, links, attributes
// and the names below the destination. Times are left out, so that a fresh clone is the same; remote sources are
// fetched, or asked whether they changed.
func DigestCopy(ctx context.Context, t Tree, c *dockerfile.Copy, o remote.Fetcher) (sum [32]byte, err error) {
	return digest(ctx, t, func(ctx context.Context, d *digester) error {
		for _, source := range c.Sources {
			if err := d.source(ctx, c, source, o); err != nil {
				return err
			}
		}
		for _, f := range c.Inline {
			d.text("inline", f.Path, string(f.Data))
		}
		return nil
	})
}

// DigestPath returns a digest of what a bind mount of a path shows. Links in the path are followed.
func DigestPath(ctx context.Context, t Tree, name string) (sum [32]byte, err error) {
	return digest(ctx, t, func(ctx context.Context, d *digester) error {
		n, err := follow(t, name, true)
		if notThere(err) {
			return newMissing(t, name, name)
		}
		if err != nil {
			return err
		}
		return d.pick(ctx, &pick{tree: t, node: n}, true)
	})
}

// digester hashes records in the order in which they are added, while the files that they speak of are read on all cores.
type digester struct {
	// now is the batch that is being filled. batches has those on their way, in the order in which they are hashed.
	tree    Tree
	hash    hash.Hash
	now     *batch
	batches chan *batch
	readers *errgroup.Group
}

// batch is some records that follow each other, and the files among them that are read together: a file at a time would
// be more waking of goroutines than reading.
type batch struct {
	records []record
	files   []int // indices of the records whose file is to be hashed
	size    int64 // bytes of those files together
	done    chan struct{}
}

// record is one entry of what is digested; node is a regular file, whose hash sum is or will be.
type record struct {
	head []byte
	node *Node
	sum  [32]byte
}

// newBatch has room for all that it will get, so that records do not move.
func newBatch() *batch {
	return &batch{records: make([]record, 0, batchRecords), done: make(chan struct{})}
}

// How much is hashed together, and how many files are read at a time.
const (
	// A batch ends with this many records, or when its files that must be read have more than batchSize bytes in all.
	batchRecords = 128
	batchSize    = 1 << 20
	coldReads    = 16 // reads at once: files that are not in memory wait for the disk, not for a processor
)

// digest runs fill, which adds the records, beside the hashing of what it adds.
func digest(ctx context.Context, t Tree, fill func(context.Context, *digester) error) (sum [32]byte, err error) {
	// Three parties work side by side: fill lists names, readers hash files, and one goroutine hashes all records in order.
	readers, ctx := errgroup.WithContext(ctx)
	readers.SetLimit(max(coldReads, runtime.NumCPU()))
	d := &digester{tree: t, hash: sha256.New(), batches: make(chan *batch, 16), readers: readers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.consume()
	}()
	err = fill(ctx, d)
	d.submit()
	close(d.batches)
	err = cmp.Or(readers.Wait(), err) // when a reader fails, fill sees a cancelled context only
	<-done
	d.hash.Sum(sum[:0])
	return sum, err
}

// consume hashes the records of each batch when its files are read, in the order of the batches.
func (d *digester) consume() {
	var length []byte
	for b := range d.batches {
		<-b.done
		for i := range b.records {
			r := &b.records[i]
			// Each head stands behind its length, so that no two lists of records give the same bytes.
			length = binary.AppendUvarint(length[:0], uint64(len(r.head)))
			d.hash.Write(length)
			d.hash.Write(r.head)
			if r.node != nil {
				d.hash.Write(r.sum[:])
			}
		}
	}
}

// push adds a record to the batch, which is on its way when it is full.
func (d *digester) push(r record) {
	if d.now == nil {
		d.now = newBatch()
	}
	d.now.records = append(d.now.records, r)
	if len(d.now.records) == batchRecords || d.now.size > batchSize {
		d.submit()
	}
}

// submit passes the batch on, and to a reader if a file in it is not known.
func (d *digester) submit() {
	b := d.now
	if d.now = nil; b == nil {
		return
	}
	// The batch takes its place in the order now, although its files are read later.
	d.batches <- b
	if len(b.files) == 0 {
		close(b.done)
		return
	}
	d.readers.Go(func() error {
		defer close(b.done)
		return d.read(b)
	})
}

// read hashes the files of a batch.
func (d *digester) read(b *batch) error {
	local, _ := d.tree.(*dirTree)
	// io.CopyBuffer takes no empty buffer, hence one byte more.
	buf := make([]byte, min(b.size, 256<<10)+1)
	for _, i := range b.files {
		r := &b.records[i]
		sum, err := hashFile(d.tree, r.node, buf)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path.Clean(r.node.Path), err)
		}
		// Only files of this machine's directories have hashes that are remembered.
		if r.sum = sum; local != nil {
			local.hashes.remember(r.node, sum)
		}
	}
	return nil
}

// text adds a record of strings, each framed by its length.
func (d *digester) text(fields ...string) { d.push(record{head: frame(nil, fields...)}) }

// frame adds texts, each behind its length.
func frame(to []byte, fields ...string) []byte {
	for _, f := range fields {
		to = append(binary.AppendUvarint(to, uint64(len(f))), f...)
	}
	return to
}

// source adds what one source selects, or what names it where it lies elsewhere.
func (d *digester) source(ctx context.Context, c *dockerfile.Copy, source string, o remote.Fetcher) error {
	remote, err := parseRemote(c, source)
	if err != nil {
		return err
	}
	if remote != nil {
		fields, err := remote.identity(ctx, o)
		d.text(fields...)
		return err
	}
	picks, err := pickLocal(ctx, d.tree, c, source)
	if err != nil {
		return err
	}
	for i := range picks {
		if err := d.pick(ctx, &picks[i], false); err != nil {
			return err
		}
	}
	return nil
}

// pick adds a file, or what is in a directory; with its own metadata, if top is set: COPY of a directory does not take
// that along.
func (d *digester) pick(ctx context.Context, p *pick, top bool) error {
	if !p.node.IsDir() {
		return d.add("file", p.name, p.node)
	}
	d.text("dir")
	if top {
		if err := d.add("top", "", p.node); err != nil {
			return err
		}
	}
	return p.walk(ctx, d)
}

// enterDir, leaveDir and file make a digester the visitor of a pick.
func (d *digester) enterDir(name string, n *Node) error { return d.add("in", name, n) }
func (d *digester) leaveDir(string, *Node, bool) error  { return nil }
func (d *digester) file(name string, n *Node) error     { return d.add("in", name, n) }

// add adds the record of a node.
func (d *digester) add(kind, name string, n *Node) error {
	head := frame(nil, kind, name, n.Link)
	// A link's mode differs between filesystems and means nothing; sizes of directories do, too.
	mode, size, device := n.Mode, int64(0), uint64(0)
	switch n.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		mode = unix.S_IFLNK
	case unix.S_IFREG:
		size = n.Size
	case unix.S_IFCHR, unix.S_IFBLK:
		device = n.Rdev
	}
	for _, v := range []uint64{uint64(mode), uint64(n.UID), uint64(n.GID), uint64(size), device} {
		head = binary.AppendUvarint(head, v)
	}
	if n.IsRegular() {
		d.pushFile(record{head: head, node: n})
		return nil
	}
	xattrs, err := n.Xattrs()
	d.push(record{head: rootfs.FrameXattrs(head, xattrs)})
	return err
}

// pushFile adds a regular file, which is to be read unless its hash is known.
func (d *digester) pushFile(r record) {
	if local, _ := d.tree.(*dirTree); local != nil {
		if sum, ok := local.hashes.lookup(r.node); ok {
			r.sum = sum
			d.push(r)
			return
		}
	}
	if r.node.entry != nil {
		if sum := r.node.entry.ContentSum(); len(sum) == len(r.sum) {
			copy(r.sum[:], sum)
			d.push(r)
			return
		}
	}
	if d.now == nil {
		d.now = newBatch()
	}
	d.now.files = append(d.now.files, len(d.now.records))
	d.now.size += r.node.Size
	d.push(r)
}

// hashFile hashes attributes and bytes of a regular file, which it reads by way of buf.
func hashFile(t Tree, n *Node, buf []byte) (sum [32]byte, err error) {
	f, err := t.Open(n)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	xattrs, err := xattrsOf(n, f)
	if err != nil {
		return sum, err
	}
	h := rootfs.NewContentSum(xattrs)
	// A file that grows meanwhile is read no further than its size; unchanged then refuses it.
	if _, err := io.CopyBuffer(h, io.LimitReader(f, n.Size), buf); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, unchanged(f, n)
}
