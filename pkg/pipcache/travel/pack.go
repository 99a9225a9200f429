// This file owns the reading of a pack: several files as one stream, of which one is open at a time.

package travel

import (
	"errors"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pack is a blob that is to be made: the bytes of its files, one after the other.
type pack struct {
	digest v1.Hash
	size   int64 // The size is in bytes.
	parts  []string
}

// open reads the bytes of the pack. One whose files have changed since is an error at its end, by its digest.
func (p *pack) open() (io.ReadCloser, error) {
	files := &fileList{}
	var readers []io.Reader
	for _, path := range p.parts {
		readers = append(readers, &lateFile{path: path, open: files})
	}
	files.Reader = io.MultiReader(readers...)
	return files, nil
}

// fileList is several files read as one, of which one is open at a time: there may be more of them than a process may
// have open.
type fileList struct {
	io.Reader
	now *os.File
}

// Close implements io.Closer.
func (l *fileList) Close() error {
	if l.now == nil {
		return nil
	}
	err := l.now.Close()
	l.now = nil
	return err
}

// lateFile is opened when it is read, and closed at its end.
type lateFile struct {
	path string
	open *fileList
	file *os.File
}

// Read implements io.Reader.
func (f *lateFile) Read(p []byte) (int, error) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if err != nil {
			return 0, err
		}
		f.file, f.open.now = file, file
	}
	n, err := f.file.Read(p)
	if errors.Is(err, io.EOF) {
		if closeErr := f.open.Close(); closeErr != nil {
			err = closeErr
		}
	}
	return n, err
}
