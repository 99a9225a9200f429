// Package durable holds what gbuild's own files need because processes are killed, machines go down, and others read and
// write at the same time: files that appear whole, names that reach the disk, and locks that end with their holder.
//
// Temporary names are of crypto/rand.Text, which no other process picks. A file that a user named is written by
// internal/outfile, which keeps the file's mode, owner and links.
package durable

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Replace makes or replaces the file at path in one step: what another process reads is the old or the new content. After
// the machine went down it may be either, or empty.
func Replace(path string, data []byte) error {
	return ReplaceBy(path, func(w io.Writer) error { return writeAll(w, data) })
}

// ReplaceBy is Replace for content that write writes.
func ReplaceBy(path string, write func(io.Writer) error) error {
	return replace(path, func(f *os.File) error { return write(f) })
}

// Save is Replace, and returns when content and name have reached the disk.
func Save(path string, data []byte) error {
	err := replace(path, func(f *os.File) error {
		if err := writeAll(f, data); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

func replace(path string, fill func(*os.File) error) error {
	temp := filepath.Join(filepath.Dir(path), ".tmp-"+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(fill(f), f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// SyncDir brings the names in a directory to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
