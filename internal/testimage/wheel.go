// This file owns wheels that are written in code.

package testimage

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sort"
	"strings"
)

// Wheel is a Python package in the wheel format (PEP 427).
type Wheel struct {
	Name, Version string
	Tag           string            // No tag means "py3-none-any".
	Files         map[string]string // The texts of files by their paths; the metadata are added.
	Requires      []string          // These become lines of Requires-Dist.
}

// Filename is the name under which an index offers w.
func (w Wheel) Filename() string {
	return w.stem() + "-" + w.tag() + ".whl"
}

// stem begins the names of the wheel file and of its metadata directory.
func (w Wheel) stem() string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(w.Name) + "-" + w.Version
}

// tag says where the wheel can be installed.
func (w Wheel) tag() string {
	if w.Tag == "" {
		return "py3-none-any"
	}
	return w.Tag
}

// Bytes is the wheel itself, the same for the same contents.
func (w Wheel) Bytes() ([]byte, error) {
	info := w.stem() + ".dist-info/"
	files := map[string]string{
		info + "METADATA": w.metadata(),
		info + "WHEEL": fmt.Sprintf("Wheel-Version: 1.0\nGenerator: testimage\nRoot-Is-Purelib: %t\nTag: %s\n",
			w.Tag == "", w.tag()),
	}
	for name, text := range w.Files {
		files[name] = text
	}
	names := sortedKeys(files)
	var record strings.Builder
	for _, name := range names {
		sum := sha256.Sum256([]byte(files[name]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	files[info+"RECORD"] = record.String()
	return zipped(append(names, info+"RECORD"), files)
}

// metadata is the METADATA file: as little of it as pip asks for.
func (w Wheel) metadata() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", w.Name, w.Version)
	for _, r := range w.Requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	return b.String()
}

// zipped writes files in the order of names, with one time, so that the same files are the same bytes.
func zipped(names []string, files map[string]string) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range names {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: Time}
		h.SetMode(0o644)
		f, err := z.CreateHeader(h)
		if err != nil {
			return nil, fmt.Errorf("writing %s into a wheel: %w", name, err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			return nil, fmt.Errorf("writing %s into a wheel: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// sortedKeys are the keys of a map in an order that is always the same.
func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
