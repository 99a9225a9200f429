// This file removes wheels that pip has built from sources without a known digest. pip finds such a wheel by the address of its
// source alone, even if that address has another file by then. A page of an index or a requirement may give the digest.

package pipcache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

const originFile = "origin.json"

// DropUndigested removes wheels that pip would find whatever their address has by then. Files that were there before the RUN
// have names enough where ofState says that there are no others: what is built is kept apart by the state. Early versions
// of pip do not say what a wheel was built of: theirs stay.
func (l *Lease) DropUndigested(ofState bool) error {
	root, err := os.OpenRoot(l.Dir())
	if err != nil {
		return fmt.Errorf("reading cache: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Base(name) != originFile || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		text, err := root.ReadFile(name)
		if err == nil && !digested(text, strings.ReplaceAll(path.Dir(name), "/", ""), ofState) {
			err = root.RemoveAll(path.Dir(name))
		}
		return ignoreGone(err)
	})
	if err != nil {
		return fmt.Errorf("removing wheels: %w", err)
	}
	return nil
}

// builtOf is what decides where pip keeps a wheel, in the order of its text.
type builtOf struct {
	Interpreter  string `json:"interpreter_name"`
	Version      string `json:"interpreter_version"`
	SHA256       string `json:"sha256"`
	Subdirectory string `json:"subdirectory,omitempty"`
	URL          string `json:"url"`
}

// digested says whether the place of a wheel, whose origin is in text, follows from a digest. Commits are digests.
func digested(text []byte, place string, ofState bool) bool {
	var origin struct {
		URL          string          `json:"url"`
		Subdirectory string          `json:"subdirectory"`
		VCS          json.RawMessage `json:"vcs_info"`
		Archive      struct {
			Hash string `json:"hash"`
		} `json:"archive_info"`
	}
	if err := json.Unmarshal(text, &origin); err != nil {
		return false
	}
	if origin.VCS != nil || ofState && isFile(origin.URL) {
		return true
	}
	sum, _ := strings.CutPrefix(origin.Archive.Hash, "sha256=")
	of := builtOf{SHA256: sum, Subdirectory: origin.Subdirectory, URL: origin.URL}
	for _, of.Interpreter = range []string{"cp", "pp"} {
		for minor := range 40 {
			of.Version = fmt.Sprintf("3%d", minor)
			if name, err := of.place(); err == nil && name == place {
				return true
			}
		}
	}
	return false
}

// isFile says whether an address is a file of the sandbox, but for those that a cache mount may show.
func isFile(url string) bool {
	return strings.HasPrefix(url, "file:///") && !strings.Contains(url, "cache")
}

// place is the directory that pip keeps such a wheel in, without the slashes.
func (b *builtOf) place() (string, error) {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		return "", errors.Join(errNoEntry, err)
	}
	sum := sha256.Sum224([]byte(strings.TrimSuffix(text.String(), "\n")))
	return hex.EncodeToString(sum[:]), nil
}
