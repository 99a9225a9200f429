package layers

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// wholeFrom is the size in bytes from which a file is compressed for itself: its blocks depend on nothing else in the tar, so
// that they can be made before it is. It costs what the window before the file would have saved.
const wholeFrom = 2 << 20

// spareRoom is what the command that runs may need more, in bytes.
const spareRoom = 1 << 30

// blocks are compressed blocks of files, to be found by what they are compressed from. They lie in a file that ends with
// the process. A nil one has none.
type blocks struct {
	codec codec
	file  *os.File
	mu    sync.Mutex
	size  int64
	spare uint64 // bytes that are to stay free on the disk
	mac   cipher.AEAD
	found map[[2 * 16]byte]span
}

// span is where in the file a block lies.
type span struct{ at, size int64 }

func (s *Store) newBlocks(c codec) (*blocks, error) {
	path := s.path("ingest", rand.Text())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !isNotExist(err) { // another process may have taken it for left
		f.Close()
		return nil, err
	}
	return &blocks{codec: c, file: f, spare: spareRoom, mac: newMAC(), found: map[[2 * 16]byte]span{}}, nil
}

// newMAC returns a message authentication code with a new key: GCM of no text.
func newMAC() cipher.AEAD {
	var key [16]byte
	rand.Read(key[:])
	c, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the length of the key is wrong
	}
	mac, err := cipher.NewGCM(c)
	if err != nil {
		panic(err)
	}
	return mac
}

func (b *blocks) close() {
	if b != nil {
		b.file.Close()
	}
}

// digest names what is compressed: the block, and the bytes before it that the encoder sees. It is a code with a key that
// nobody else knows, which is as safe as a digest here, and takes a quarter of its time.
func (b *blocks) digest(j *job) (d [2 * 16]byte) {
	var nonces [2][12]byte
	nonces[1][0] = 1
	b.mac.Seal(d[:0], nonces[0][:], nil, j.before)
	b.mac.Seal(d[:16], nonces[1][:], nil, j.in)
	return d
}

// put keeps the output of a job, if there is room for it.
func (b *blocks) put(j *job) error {
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(b.file.Fd()), &disk); err != nil || disk.Bavail*uint64(disk.Bsize) < b.spare {
		return errors.Join(unix.ENOSPC, err)
	}
	b.mu.Lock()
	s := span{b.size, int64(j.out.Len())}
	b.size += s.size
	b.mu.Unlock()
	if _, err := b.file.WriteAt(j.out.Bytes(), s.at); err != nil {
		return err
	}
	d := b.digest(j)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found[d] = s
	return nil
}

// has says whether there are any for the codec.
func (b *blocks) has(c codec) bool {
	if b == nil || b.codec != c {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.found) > 0
}

// take fills the output of a job with the block that is kept for it, if there is one, and forgets that.
func (b *blocks) take(j *job) bool {
	d := b.digest(j)
	b.mu.Lock()
	s, ok := b.found[d]
	delete(b.found, d)
	b.mu.Unlock()
	if !ok {
		return false
	}
	j.out.Grow(int(s.size))
	out := j.out.AvailableBuffer()[:s.size]
	if _, err := b.file.ReadAt(out, s.at); err != nil {
		return false
	}
	j.out.Write(out)
	// The place is free for the blob that the block becomes a part of. Where the filesystem cannot do that, it is at the end.
	_ = unix.Fallocate(int(b.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, s.at, s.size)
	return true
}
