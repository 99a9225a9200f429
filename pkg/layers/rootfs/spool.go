// Spool, where single files lie that were read out of tars. None has its name, its owner or its mode there: those are described.

package rootfs

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Spool keeps the bytes of files in a directory, which is asked for when the first of them comes. Small ones are many, and lie in one
// file together.
type Spool struct {
	Dir func() (string, error)

	mu     sync.Mutex
	n      int // large files
	small  *os.File
	end    int64 // of what is in small
	buffer []byte
}

// smallFile is the size up to which a file lies together with others. It is also read into memory when it is opened.
const smallFile = 128 << 10

// spooled is a file in a spool.
type spooled interface {
	opener
	spooled()
}

// large is the path of a file of its own.
type large string

func (large) spooled() {}

// Open opens the file.
func (p large) Open() (*os.File, error) { return os.Open(string(p)) }

// small is a part of the file with the small ones.
type small struct {
	in       *os.File
	at, size int64
}

func (small) spooled() {}

// Open opens a copy of the file.
func (p small) Open() (*os.File, error) {
	content := make([]byte, p.size)
	if p.size > 0 {
		if _, err := p.in.ReadAt(content, p.at); err != nil {
			return nil, err
		}
	}
	return memoryFile("small", content)
}

// Close ends the use of all files. Their directory is for others to remove.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.small == nil {
		return nil
	}
	return s.small.Close()
}

// Keep keeps a file. It is a Keep.
func (s *Spool) Keep(_ string, size int64, _ map[string][]byte, body io.Reader) (KeptBytes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.Dir()
	if err != nil {
		return KeptBytes{}, err
	}
	if size <= smallFile {
		return s.keepSmall(dir, size, body)
	}
	s.n++
	p := large(filepath.Join(dir, strconv.Itoa(s.n)))
	f, err := os.OpenFile(string(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return KeptBytes{}, err
	}
	err = copySparse(f, body, size, &s.buffer)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return KeptBytes{From: p}, err
}

// keepSmall appends a file to the small ones.
func (s *Spool) keepSmall(dir string, size int64, body io.Reader) (kept KeptBytes, err error) {
	if s.small == nil {
		if s.small, err = os.OpenFile(filepath.Join(dir, "small"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return kept, err
		}
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(body, content); err != nil {
		return kept, err
	}
	if _, err := s.small.WriteAt(content, s.end); err != nil {
		return kept, err
	}
	kept.From = small{s.small, s.end, size}
	s.end += size
	return kept, nil
}

// Only keeps those files that are wanted.
func (s *Spool) Only(wanted func(name string) bool) Keep {
	return func(name string, size int64, xattrs map[string][]byte, body io.Reader) (KeptBytes, error) {
		if !wanted(name) {
			return KeptBytes{}, nil
		}
		return s.Keep(name, size, xattrs, body)
	}
}

// Summing finds out what an index has of each file, and keeps those that are wanted.
func (s *Spool) Summing(wanted func(name string) bool) Keep {
	keep, buffer := s.Only(wanted), make([]byte, copyBlock)
	return func(name string, size int64, xattrs map[string][]byte, body io.Reader) (KeptBytes, error) {
		sum := NewContentSum(xattrs)
		body = io.TeeReader(body, sum)
		if accounts(name) && size <= maxAccounts {
			content, err := io.ReadAll(body)
			return KeptBytes{Content: content, Sum: sum.Sum(nil)}, err
		}
		kept, err := keep(name, size, xattrs, body)
		if err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buffer)
		}
		kept.Sum = sum.Sum(nil)
		return kept, err
	}
}
