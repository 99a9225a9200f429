// This file reads files of a layout or an archive by name, from a directory or from a tar.

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
)

// tree is a directory or a tar whose files are read by name.
type tree interface {
	// open returns a file and its size; fs.ErrNotExist when there is none.
	open(name string) (io.ReadCloser, int64, error)
}

// readFile reads a small file whole. r names the layout or archive in errors.
func readFile(t tree, name string, limit int64, r Ref) ([]byte, error) {
	rc, _, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return readCapped(rc, limit, r.String()+": "+name)
}

// dirTree is a directory. os.Root keeps links in it from leading out.
type dirTree string

// open implements tree. What is no regular file is refused before it is opened: a pipe would wait for a writer.
func (d dirTree) open(name string) (io.ReadCloser, int64, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, 0, fmt.Errorf("opening layout: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("opening layout: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("opening layout: %s is no regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("opening layout: %w", err)
	}
	return f, info.Size(), nil
}

// tarTree is a plain tar, indexed once, whose files are then read in place.
type tarTree struct {
	file  string
	at    map[string]span
	links map[string]string
}

// span is where the bytes of a file are in the tar.
type span struct{ off, size int64 }

// maxEntries bounds the index of an archive: an image has at most a few entries for each layer.
const maxEntries = 100_000

// openArchive opens the tar that r names.
func openArchive(r Ref) (*tarTree, error) {
	if r.Path == Stdout {
		return nil, badRef(r.String(), "an image cannot be read from standard input")
	}
	t, err := openTar(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Ref: r.String(), Err: err}
	}
	return t, err
}

// openTar indexes a tar. A compressed one cannot be read in place, and is refused.
func openTar(file string) (*tarTree, error) {
	if info, err := os.Stat(file); err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice|os.ModeSocket) != 0 {
		return nil, hint.Errorf("write it to a file first", "%s: it is a pipe or a device, and an archive is read in many places", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening archive: %w", err)
	}
	defer f.Close()
	var magic [6]byte
	n, err := io.ReadFull(f, magic[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, hint.Errorf(noRemedy, "%s: it cannot be read as an archive: %v", file, err)
	}
	if tool := compressor(magic[:n]); tool != "" {
		return nil, hint.Errorf(fmt.Sprintf("unpack it first: %s -d < FILE > OTHER", tool), "%s: the archive is compressed", file)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading archive: %w", err)
	}
	return indexTar(f, file)
}

// compressor is the tool that made a compressed file, by the file's first bytes. It is empty for any other file.
func compressor(magic []byte) string {
	for tool, prefix := range map[string]string{"gzip": "\x1f\x8b", "zstd": "\x28\xb5\x2f\xfd", "xz": "\xfd7zXZ", "bzip2": "BZh"} {
		if bytes.HasPrefix(magic, []byte(prefix)) {
			return tool
		}
	}
	return ""
}

// indexTar lists the files of a tar and where their bytes are.
func indexTar(f *os.File, file string) (*tarTree, error) {
	t := &tarTree{file: file, at: map[string]span{}, links: map[string]string{}}
	// archive/tar seeks over bodies, so that this costs one read for each entry.
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil || len(t.at)+len(t.links) > maxEntries {
			return nil, hint.Errorf("check that the file is complete", "%s: it is no readable tar: %v", file, err)
		}
		name := path.Clean("/" + h.Name)[1:]
		switch h.Typeflag {
		case tar.TypeReg:
			off, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, fmt.Errorf("reading archive: %w", err)
			}
			t.at[name] = span{off, h.Size}
		case tar.TypeSymlink:
			t.links[name] = path.Join("/", path.Dir(name), h.Linkname)[1:]
		case tar.TypeLink:
			t.links[name] = path.Clean("/" + h.Linkname)[1:]
		}
	}
}

// open implements tree. Old docker archives link equal layers, one link deep.
func (t *tarTree) open(name string) (io.ReadCloser, int64, error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if to, ok := t.links[name]; ok {
		name = to
	}
	at, ok := t.at[name]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: t.file + ":" + name, Err: fs.ErrNotExist}
	}
	f, err := os.Open(t.file)
	if err != nil {
		return nil, 0, fmt.Errorf("opening archive: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, at.off, at.size), f}, at.size, nil
}
