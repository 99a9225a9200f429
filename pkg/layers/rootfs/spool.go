// Spool, where single files lie that were read out of tars. None has its name, its owner or its mode there: those are described.

package rootfs

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Spool keeps the bytes of files in a directory, which is asked for when the first of them comes.
type Spool struct {
	Dir func() (string, error)

	mu     sync.Mutex
	n      int
	buffer []byte
}

// spooled is the path of a file in a spool.
type spooled string

// Open opens the file.
func (p spooled) Open() (*os.File, error) { return os.Open(string(p)) }

// Keep keeps a file. It is a Keep.
func (s *Spool) Keep(_ string, size int64, _ map[string][]byte, body io.Reader) (KeptBytes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.Dir()
	if err != nil {
		return KeptBytes{}, err
	}
	s.n++
	p := spooled(filepath.Join(dir, strconv.Itoa(s.n)))
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
