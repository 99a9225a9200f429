// Blocks of files that are compressed before the layer that has the files is made. The layer takes a block only if it has the
// same bytes, so nothing depends on whether the guess was right but time.

package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// spareRoom is what others may need of the disk, in bytes.
const spareRoom = 1 << 30

// Blocks are compressed blocks of files, to be found by what they are compressed from. They lie in a file without a name.
// A nil one has none.
type Blocks struct {
	format   format
	encoders *Encoders
	file     *os.File
	mac      cipher.AEAD
	spare    uint64 // bytes that are to stay free on the disk

	mu    sync.Mutex
	size  int64 // bytes of the file so far
	found map[blockName]span
}

// blockName names a block by digests: of the bytes before it that the encoder sees, and of its own bytes.
type blockName [2 * 16]byte

// span is where in the file a block lies.
type span struct{ at, size int64 }

// NewBlocks makes an empty collection, which keeps the blocks in a file that it closes in the end.
func NewBlocks(c Compression, e *Encoders, file *os.File) (*Blocks, error) {
	f, err := c.format()
	if err != nil {
		return nil, err
	}
	return &Blocks{format: f, encoders: e, file: file, spare: spareRoom, mac: newMAC(), found: map[blockName]span{}}, nil
}

// Close drops all blocks.
func (b *Blocks) Close() {
	if b != nil {
		b.file.Close()
	}
}

// newMAC returns a message authentication code with a new key: GCM without a text.
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

// name returns the name of a block. Its digests are codes of GCM, which take a quarter of the time of SHA-256. GCM has a bad
// name where a nonce is used twice, as it is here for all blocks; the reason is that somebody who sees two codes of one nonce can
// compute the secret that they are made with. Here nobody sees a code: key and codes never leave the memory of this
// process. Without them a code is as good as a random function: whoever writes the files cannot choose two blocks that have the
// same one, and by chance two have it once in 2^128/(their length in units of 16 bytes) pairs. The two nonces tell the
// two parts from each other.
func (b *Blocks) name(j *job) (n blockName) {
	var nonces [2][12]byte
	nonces[1][0] = 1
	b.mac.Seal(n[:0], nonces[0][:], nil, j.before)
	b.mac.Seal(n[:16], nonces[1][:], nil, j.in)
	return n
}

// Add compresses the blocks of the file that r reads, as Compress does behind StartFile, until over is closed. What cannot be
// read is no error: it is another file by now, or corrupt.
func (b *Blocks) Add(r io.Reader, over <-chan struct{}) error {
	encode, err := b.encoders.take(b.format)
	if err != nil {
		return err
	}
	defer b.encoders.leave(b.format, encode)
	j, size := &job{}, b.format.blockSize()
	buffer := make([]byte, window+size)
	for before := 0; ; {
		select {
		case <-over:
			return nil
		default:
		}
		n, err := io.ReadFull(r, buffer[before:before+size])
		if n == 0 || err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil
		}
		j.before, j.in = buffer[:before], buffer[before:before+n]
		j.out.Reset()
		if err := encode(&j.out, j.in, j.before); err != nil {
			return err
		}
		if err := b.put(j); err != nil {
			return err
		}
		before = copy(buffer, buffer[max(0, before+n-window):before+n])
	}
}

// put keeps the output of a job, if there is room for it.
func (b *Blocks) put(j *job) error {
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
	name := b.name(j)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found[name] = s
	return nil
}

// has says whether there are any blocks of the format.
func (b *Blocks) has(f format) bool { return b != nil && b.format == f && b.Len() > 0 }

// Len returns the number of blocks that nobody has used yet.
func (b *Blocks) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.found)
}

// take fills the output of a job with the block that is kept for it, if there is one, and forgets that.
func (b *Blocks) take(j *job) bool {
	name := b.name(j)
	b.mu.Lock()
	s, ok := b.found[name]
	delete(b.found, name)
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
