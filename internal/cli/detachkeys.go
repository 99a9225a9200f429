// This file owns the keys by which a user leaves a container that goes on: what they are called, and how they are found in what
// the user types.

package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// DefaultDetachKeys are docker's.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ErrDetached says that the user has typed the keys.
var ErrDetached = errors.New("read escape sequence")

// ParseDetachKeys reads keys with commas between them: characters, and ctrl- with a letter or one of @ [ \ ] ^ _.
func ParseDetachKeys(text string) (keys []byte, err error) {
	for _, key := range strings.Split(text, ",") {
		name, control := strings.CutPrefix(strings.ToLower(key), "ctrl-")
		switch {
		case control && len(name) == 1 && name[0] >= 'a' && name[0] <= 'z':
			keys = append(keys, name[0]-'a'+1)
		case control && len(name) == 1 && strings.Contains("@[\\]^_", name):
			keys = append(keys, name[0]&0x1f)
		case !control && len(key) == 1:
			keys = append(keys, key[0])
		default:
			return nil, Usagef("--detach-keys %s: %q is no key: it is a character or ctrl- with a letter, as in %s", text, key, DefaultDetachKeys)
		}
	}
	return keys, nil
}

// UntilDetached reads what comes until the keys come. Then it returns ErrDetached, and they are not read. What may be their
// beginning waits for the next key.
func UntilDetached(in io.Reader, keys []byte) io.Reader {
	return &detachable{in: in, keys: keys}
}

type detachable struct {
	in    io.Reader
	keys  []byte
	held  int    // so many of the keys have come
	ready []byte // what is to be read before anything else
	err   error  // comes after that
}

// Read implements io.Reader.
func (d *detachable) Read(p []byte) (int, error) {
	for len(d.ready) == 0 && d.err == nil {
		buf := make([]byte, len(p))
		n, err := d.in.Read(buf)
		if d.take(buf[:n]); d.err == nil && err != nil {
			d.ready, d.err, d.held = append(d.ready, d.keys[:d.held]...), err, 0
		}
	}
	n := copy(p, d.ready)
	if d.ready = d.ready[n:]; n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, d.err
}

// take looks at what was typed.
func (d *detachable) take(typed []byte) {
	for _, b := range typed {
		// What is held and does not go on as the keys do was typed; its end may be their beginning.
		seen := append(bytes.Clone(d.keys[:d.held]), b)
		for len(seen) > 0 && !bytes.HasPrefix(d.keys, seen) {
			d.ready, seen = append(d.ready, seen[0]), seen[1:]
		}
		if d.held = len(seen); d.held == len(d.keys) {
			d.err = ErrDetached
			return
		}
	}
}
