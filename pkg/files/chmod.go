// This file owns --chmod and --chown.
// An octal mode is for everything that is made, directories on the way included; a symbolic one changes the mode of each source.
// Names of users are looked up in the state that is copied into, never on this machine.

package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	mode "github.com/tonistiigi/dchapes-mode"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// chmod is a --chmod: nothing, an octal mode for everything, or a symbolic change of each mode.
type chmod struct {
	octal *uint32
	set   *mode.Set
}

// parseChmod reads a --chmod. Its messages for numbers are those of BuildKit.
func parseChmod(text string) (c chmod, err error) {
	if text == "" {
		return c, nil
	}
	invalid := fmt.Errorf("invalid chmod parameter: '%v'. it should be octal string and between 0 and 07777", text)
	if n, err := strconv.ParseUint(text, 8, 32); err == nil {
		if n > 0o7777 {
			return c, invalid
		}
		octal := uint32(n)
		return chmod{octal: &octal}, nil
	}
	// A umask would make the result depend on who builds.
	set, err := mode.ParseWithUmask(text, 0)
	var number *strconv.NumError
	if errors.As(err, &number) {
		return c, invalid
	}
	if err != nil {
		return c, fmt.Errorf("invalid chmod parameter: '%v': %w", text, err)
	}
	return chmod{set: &set}, nil
}

// apply returns the permissions of a copy of n.
func (c chmod) apply(n *Node) uint32 {
	switch {
	case c.octal != nil:
		return *c.octal
	case c.set != nil:
		return fromFileMode(c.set.Apply(toFileMode(n)))
	}
	return n.Mode & 0o7777
}

// parents returns the permissions of directories that are made on the way: an octal mode is for them, too.
func (c chmod) parents() uint32 {
	if c.octal != nil {
		return *c.octal & 0o777
	}
	return 0o755
}

// special pairs the bits of st_mode with those of os.FileMode.
var special = []struct {
	bit  uint32
	mode os.FileMode
}{{0o4000, os.ModeSetuid}, {0o2000, os.ModeSetgid}, {0o1000, os.ModeSticky}}

// toFileMode turns the mode of a node into one that a symbolic change can be applied to.
func toFileMode(n *Node) os.FileMode {
	m := os.FileMode(n.Mode & 0o777)
	for _, s := range special {
		if n.Mode&s.bit != 0 {
			m |= s.mode
		}
	}
	if n.IsDir() {
		m |= os.ModeDir
	}
	return m
}

// fromFileMode turns what came out of the change into the bits of st_mode.
func fromFileMode(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, s := range special {
		if m&s.mode != 0 {
			bits |= s.bit
		}
	}
	return bits
}

// owner is who a copy belongs to.
type owner struct{ uid, gid int }

// parseChown resolves a --chown with the accounts of the destination. A number alone is both user and group; a name
// brings the user's primary group; root is 0 wherever. numeric demands numbers, for layers that know no accounts.
func parseChown(text string, numeric bool, open func(string) (io.ReadCloser, error)) (*owner, error) {
	if text == "" {
		return nil, nil
	}
	user, group, _ := strings.Cut(text, ":")
	user, group = runtime.RootIsZero(user), runtime.RootIsZero(group)
	byName := !isNumber(user) || !isNumber(group)
	if byName && numeric {
		return nil, fmt.Errorf("--chown=%s: user and group names can't be resolved when used with --link, use numeric uid[:gid] instead", text)
	}
	lookup := user
	switch {
	case group != "":
		lookup = user + ":" + group
	case user != "" && isNumber(user):
		lookup = user + ":" + user
	}
	// With numbers only, no file of accounts is opened: a base that is not here need not be fetched.
	if !byName {
		open = func(path string) (io.ReadCloser, error) {
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		}
	}
	id, err := runtime.LookupUser(open, lookup)
	if err != nil {
		return nil, fmt.Errorf("resolving --chown=%s: %w", text, err)
	}
	if user == "" && group == "" {
		id.GID = 0
	}
	return &owner{id.UID, id.GID}, nil
}

// isNumber says whether an id needs no look-up; an empty one does not either.
func isNumber(id string) bool {
	for _, r := range id {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
