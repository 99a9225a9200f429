// Unpacking the layers of images into snapshots, side by side. Every layer is read once: its bytes become a blob, are
// decompressed and become files at the same time.

package layers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

const unpackJobs = 4 // layers at once: enough to keep a network and two disks busy

// Unpack makes the state that the layers of an image make, the lowest first, and returns its key (see ChainKey). Layers
// that are there are not read. The others are read, checked, stored as they came, decompressed and unpacked side by side;
// when processes want the same one, the first does it. report, if not nil, is told the compressed bytes that were read,
// and all that are to be read.
func (s *Store) Unpack(ctx context.Context, layers []v1.Layer, report func(done, total int64)) (Key, error) {
	u := &unpacking{store: s, report: report}
	if err := u.plan(layers); err != nil {
		return Key{}, fmt.Errorf("unpacking an image: %w", err)
	}
	if len(u.jobs) > 0 {
		if one, ok := s.trees.(*oneTree); ok && u.jobs[0].parent.IsZero() {
			u.lender = one
		}
		if err := u.run(ctx); err != nil {
			return Key{}, fmt.Errorf("unpacking an image: %w", u.store.disk.explain(err))
		}
	}
	return u.key, nil
}

// unpacking is one call of Unpack, Restore or expand.
type unpacking struct {
	store  *Store
	report func(done, total int64)
	lender *oneTree // takes the files; nil: they become snapshots
	key    Key      // the state that all the jobs lead to
	jobs   []*unpackJob
	total  int64
	mu     sync.Mutex
	read   int64
}

// unpackJob is one layer that has no snapshot yet.
type unpackJob struct {
	layer       v1.Layer
	key, parent Key
	record      layerRecord
	there       bool // somebody else has made it meanwhile
	held        *os.File
	draft       *os.File
	dir         string
	lent        bool // the files are kept where they are
	applier     *rootfs.Applier
}

// plan finds out which layers have no snapshot yet.
func (u *unpacking) plan(layers []v1.Layer) error {
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		parent := u.key
		u.key = ChainKey(parent, diffID)
		if u.store.Has(u.key) {
			continue
		}
		j, err := u.job(l)
		if err != nil {
			return err
		}
		j.key, j.parent = u.key, parent
		u.jobs = append(u.jobs, j)
	}
	return nil
}

// job is the work for one layer, without the keys that it stands between.
func (u *unpacking) job(l v1.Layer) (*unpackJob, error) {
	diffID, err := l.DiffID()
	if err != nil {
		return nil, err
	}
	d, err := partial.Descriptor(l)
	if err != nil {
		return nil, err
	}
	u.total += d.Size
	return &unpackJob{layer: l, record: layerRecord{DiffID: diffID, Digest: d.Digest, Size: d.Size, MediaType: d.MediaType,
		Annotations: codec.AboutBlob(d.Annotations), Source: sourceOf(l)}}, nil
}

// run takes the locks of the layers in their order, the lowest first, and keeps them to the end. All processes do, so
// that they never wait for each other in a circle.
func (u *unpacking) run(ctx context.Context) error {
	if u.lender != nil {
		if err := u.lender.held.Begin(ctx, u.store.notice); err != nil {
			return err
		}
	}
	defer func() {
		for _, j := range u.jobs {
			j.close()
		}
	}()
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(unpackJobs)
	var err error
	for _, j := range u.jobs {
		if j.held, err = u.store.disk.lock(inGroup, j.key.String()); err != nil {
			break
		}
		group.Go(func() error {
			if err := u.extract(inGroup, j); err != nil {
				return fmt.Errorf("layer %s: %w", j.record.Digest, err)
			}
			return nil
		})
	}
	if failed := group.Wait(); failed != nil || err != nil {
		return cmp.Or(failed, err)
	}
	return u.commit(ctx)
}

// extract fetches and unpacks one layer into a directory of its own, unless another process has done it. A blob of ours
// that turns out to be corrupt is fetched again, once.
func (u *unpacking) extract(ctx context.Context, j *unpackJob) error {
	if _, err := u.store.snapshots.readMeta(j.key); err == nil && u.lender == nil {
		j.there = true
		u.progress(j.record.Size)
		return nil
	}
	fromStore, err := u.attempt(ctx, j)
	if corrupt := (*CorruptError)(nil); fromStore && errors.As(err, &corrupt) {
		j.clean()
		_, err = u.attempt(ctx, j)
	}
	return err
}

// attempt unpacks a layer. fromStore says that its bytes came from a blob of ours.
func (u *unpacking) attempt(ctx context.Context, j *unpackJob) (fromStore bool, err error) {
	if err := j.start(ctx, u.store, u.lender); err != nil {
		return false, err
	}
	in, err := u.open(ctx, j)
	if err != nil {
		return false, err
	}
	defer in.close()
	return in.blob == nil, u.unpack(ctx, j, in)
}

// start makes the directory that the layer is unpacked into.
func (j *unpackJob) start(ctx context.Context, s *Store, lender *oneTree) (err error) {
	if err := s.canHold(); err != nil {
		return err
	}
	draft := s.disk.own("drafts", rand.Text())
	if lender != nil {
		draft = lender.held.Spare()
	}
	if j.draft, err = durable.Lock(ctx, draft+".lock", durable.Exclusive); err != nil {
		return err
	}
	j.dir = draft + "/snap"
	files := j.dir + "/fs"
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	if j.record.Size >= largeLayer {
		setApart(j.dir)
	}
	if err := os.Mkdir(files, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(files, 0o755); err != nil {
		return err
	}
	j.applier, err = rootfs.NewApplier(files, mostUnpackedOf(j.record.Size), s.notice)
	return err
}

// largeLayer is the size, compressed and in bytes, from which a layer is likely to have so many files that a place for them is
// worth the search for it.
const largeLayer = 8 << 20

// setApart has ext4 place the directories that are made in dir apart from it, and from each other. Beside the files of a
// store that was just removed, finding an inode takes longer than writing a file: it takes none that was deleted
// in the last minutes, and looks at each of them for each new file. Other filesystems do not know the flag, which chattr(1) calls T.
func setApart(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	if flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags|topDirectory)
	}
}

// topDirectory is FS_TOPDIR_FL of linux/fs.h.
const topDirectory = 0x20000

// unpack runs the three parts of one layer beside each other: reading (with digest and blob), decompression, extraction
// (with the DiffID).
func (u *unpacking) unpack(ctx context.Context, j *unpackJob, in *layerInput) error {
	defer context.AfterFunc(ctx, in.stop)() // the reader may be waiting for a network that says nothing
	ahead := codec.NewReadAhead(in)
	diffID, err := u.decompress(ctx, j, ahead)
	if err == nil || in.blob == nil {
		// What follows the compressed data belongs to the blob as well; and a blob that is corrupt says so at its end.
		if _, endErr := io.Copy(io.Discard, ahead); endErr != nil {
			err = endErr
		}
	}
	if err != nil {
		in.stop()
	}
	ahead.Close()
	if err != nil {
		return in.explain(err)
	}
	if err := in.finish(j.record); err != nil {
		return err
	}
	if diffID != j.record.DiffID {
		return &CorruptError{What: "layer " + j.record.Digest.String(), Err: fmt.Errorf("it unpacks to %s, the image says %s", diffID, j.record.DiffID)}
	}
	return nil
}

// decompress unpacks what r reads, and returns the DiffID.
func (u *unpacking) decompress(ctx context.Context, j *unpackJob, r io.Reader) (v1.Hash, error) {
	z, err := codec.Decompress(r)
	if err != nil {
		return v1.Hash{}, err
	}
	defer z.Close()
	return j.applier.Layer(ctx, z)
}

// progress reports that n more compressed bytes were read, of whichever layer.
func (u *unpacking) progress(n int64) {
	if u.report == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.read += n
	u.report(u.read, u.total)
}

// layerInput reads the compressed bytes of a layer, from the blob if it is here, and makes it if not.
type layerInput struct {
	unpacking *unpacking
	from      io.ReadCloser
	blob      *blobWriter // nil where the blob is here already
	size      int64
	closeOnce sync.Once
}

// open opens the bytes of a layer: a blob of the right size, or else what the layer itself reads.
func (u *unpacking) open(ctx context.Context, j *unpackJob) (*layerInput, error) {
	if r, size, err := u.store.blobs.open(j.record.Digest); err == nil && size == j.record.Size {
		return &layerInput{unpacking: u, from: r}, nil
	} else if err == nil {
		r.Close()
	}
	r, err := j.layer.Compressed()
	if err != nil {
		return nil, err
	}
	blob, err := u.store.blobs.create(ctx)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if c, ok := r.(checked); ok && c.Checked() == j.record.Digest {
		blob.sum = nil
	}
	return &layerInput{unpacking: u, from: r, blob: blob}, nil
}

// checked is a reader that says io.EOF only behind bytes with a certain digest: nobody need hash them again.
type checked interface{ Checked() v1.Hash }

// Read implements io.Reader.
func (in *layerInput) Read(p []byte) (int, error) {
	n, err := in.from.Read(p)
	in.size += int64(n)
	if in.blob != nil && n > 0 {
		if _, err := in.blob.Write(p[:n]); err != nil {
			return 0, fmt.Errorf("writing a blob: %w", err)
		}
	}
	in.unpacking.progress(int64(n))
	return n, err
}

func (in *layerInput) stop() { in.closeOnce.Do(func() { in.from.Close() }) }

func (in *layerInput) close() {
	in.stop()
	if in.blob != nil {
		in.blob.abort()
	}
}

// explain prefers the reason why a stream is short to what its decoder made of that.
func (in *layerInput) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the layer ends too early, after %d bytes: %w", in.size, err)
	}
	return err
}

// finish checks the compressed bytes and gives the blob its name.
func (in *layerInput) finish(want layerRecord) error {
	if in.size != want.Size {
		return &CorruptError{What: "layer " + want.Digest.String(), Err: fmt.Errorf("it has %d bytes, the image says %d", in.size, want.Size)}
	}
	if in.blob == nil {
		return nil
	}
	_, err := in.blob.commit(want.Digest)
	return err
}

// commit finishes the layers from the lowest to the uppermost: only now is there something below each.
func (u *unpacking) commit(ctx context.Context) error {
	for i, j := range u.jobs {
		if j.there {
			continue
		}
		if err := u.finish(i); err != nil {
			return fmt.Errorf("layer %s: %w", j.record.Digest, err)
		}
	}
	for _, j := range u.jobs {
		if j.there {
			continue
		}
		if err := u.store.maker.remember(baseKind, j.key, j.record); err != nil {
			return err
		}
		if err := u.keep(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps the files of a layer: as a snapshot, or for the tree in a place.
func (u *unpacking) keep(ctx context.Context, j *unpackJob) error {
	if u.lender != nil {
		return u.lender.keepLent(ctx, j)
	}
	return u.store.snapshots.commit(j.dir, j.key, j.parent)
}

// finish needs the layers below as directories, committed or not.
func (u *unpacking) finish(i int) error {
	var levels []rootfs.Level
	for below := i - 1; below >= 0; below-- {
		levels = append(levels, rootfs.Level{Dir: u.fs(u.jobs[below])})
	}
	rest, err := u.store.snapshots.levels(u.jobs[0].parent)
	if err != nil {
		return err
	}
	return u.jobs[i].applier.Finish(rootfs.StackView(append(levels, rest...), 0))
}

// fs returns where the files of a layer are by now.
func (u *unpacking) fs(j *unpackJob) string {
	if j.there {
		return u.store.disk.snapshot(j.key, "fs")
	}
	return j.dir + "/fs"
}

// close gives back what the job holds, and removes what it has not committed.
func (j *unpackJob) close() {
	j.clean()
	if j.held != nil {
		j.held.Close()
	}
}

// clean removes the files that were unpacked, so that another attempt can begin.
func (j *unpackJob) clean() {
	if j.applier != nil {
		j.applier.Close()
	}
	if j.draft != nil {
		draft := filepath.Dir(j.dir)
		if j.lent || os.RemoveAll(draft) == nil {
			os.Remove(draft + ".lock")
		}
		j.draft.Close()
	}
	j.applier, j.draft = nil, nil
}
