// This file owns the files in which those hashes outlive a build.

package files

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/statedir"
)

// The hashes of a context are kept in a file of their own: a magic line, what hashed has of each file but for seen, and
// the SHA-256 of all that.
const (
	hashesMagic  = "gbuild hashes 3\n"
	hashesRecord = 8 + 12 + 32 + 2
	hashesDays   = 60 // a hash that nobody used for so many days is dropped
)

// hashesFile is where the hashes of the context dir are kept.
func hashesFile(stateDir, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(statedir.Hashes.In(stateDir), hex.EncodeToString(sum[:16]))
}

// fields are the parts of a record, in their order.
func (e *hashed) fields() [4][]byte {
	return [...][]byte{e.path[:], e.version[:], e.sum[:], e.day[:]}
}

// load reads the file at first use. One that is damaged counts as empty.
func (h *hashes) load() {
	if h.loaded {
		return
	}
	if h.loaded = true; h.file == "" {
		return
	}
	f, err := os.Open(h.file)
	if err != nil {
		return
	}
	defer f.Close()
	if err := h.read(f); err != nil {
		h.kept = nil
	}
}

// errDamaged lets the file count as empty.
var errDamaged = errors.New("the kept hashes are damaged")

// read reads all records, and believes them if the sum at the end is right.
func (h *hashes) read(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	// The size of the file says how much memory is needed; the sum at the end, whether that was true.
	count := (size - int64(len(hashesMagic))) / hashesRecord
	if count < 0 {
		return errDamaged
	}
	check := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(io.LimitReader(f, size), check), 1<<16)
	magic := make([]byte, len(hashesMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != hashesMagic {
		return errDamaged
	}
	h.kept = make([]hashed, count)
	for i := range h.kept {
		for _, field := range h.kept[i].fields() {
			if _, err := io.ReadFull(r, field); err != nil {
				return errDamaged
			}
		}
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(f, want); err != nil || !bytes.Equal(check.Sum(nil), want) {
		return errDamaged
	}
	return nil
}

// write replaces the file.
func (h *hashes) write() error {
	dir := filepath.Dir(h.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := durable.ReplaceBy(h.file, h.writeTo); err != nil {
		return err
	}
	return tidyHashes(dir)
}

// writeTo writes the whole file. What w cannot write, Flush reports.
func (h *hashes) writeTo(f io.Writer) error {
	check := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, check), 1<<16)
	w.WriteString(hashesMagic)
	h.merged(func(e *hashed) {
		for _, field := range e.fields() {
			w.Write(field)
		}
	})
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := f.Write(check.Sum(nil))
	return err
}

// tidyHashes removes the files of contexts that were not built for long. A file that is in use is written on each day.
func tidyHashes(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		// An error of one file is passed over: another build may have removed it.
		if err == nil && time.Since(info.ModTime()) > hashesDays*24*time.Hour {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
	return nil
}
