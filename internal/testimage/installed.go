// This file owns what pip leaves in an image when it installs a wheel.

package testimage

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
)

// Installed returns the files of w as pip leaves them below the directory dir of an image, so that pip there can
// uninstall it.
func (w Wheel) Installed(dir string) ([]File, error) {
	data, err := w.Bytes()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	info := w.stem() + ".dist-info/"
	files := []File{{Name: dir + "/" + info}, {Name: dir + "/" + info + "INSTALLER", Body: "pip\n"}}
	for _, entry := range z.File {
		body, err := readZipped(entry)
		if err != nil {
			return nil, fmt.Errorf("reading %s of a wheel: %w", entry.Name, err)
		}
		if entry.Name == info+"RECORD" { // pip removes what stands there
			body += info + "INSTALLER,,\n"
		}
		files = append(files, File{Name: dir + "/" + entry.Name, Body: body})
	}
	return files, nil
}

// readZipped is the text of a file in a wheel.
func readZipped(entry *zip.File) (string, error) {
	f, err := entry.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	body, err := io.ReadAll(f)
	return string(body), err
}
