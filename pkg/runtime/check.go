// This file owns what is refused of a Sandbox before anything is done: what cannot work, or would weaken it.

package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// check refuses what cannot work, or would weaken the sandbox.
func (s *Sandbox) check() error {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return errors.New("no command was given")
	}
	if s.StateDir == "" || !filepath.IsAbs(s.Root) {
		return errors.New("a sandbox needs an absolute root and a directory for its state")
	}
	if s.Dir != "" && !path.IsAbs(s.Dir) {
		return fmt.Errorf("working directory %q is not absolute", s.Dir)
	}
	switch s.Network {
	case "", "private", "host", "none":
	default:
		return fmt.Errorf("unknown network %q: use private, host or none", s.Network)
	}
	for _, m := range s.Mounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("mounting on %q: %w", m.Target, err)
		}
	}
	if host.SingleID() || s.Isolation == host.Ptrace {
		return nil // others are known to whoever answers the calls of the sandbox only
	}
	if s.keepsGroups() {
		return checkMapped(s.UID, s.GID, nil)
	}
	return checkMapped(s.UID, s.GID, s.Groups)
}

func (m *Mount) check() error {
	t := path.Clean(m.Target)
	switch {
	case !path.IsAbs(m.Target):
		return errors.New("the path is not absolute")
	case len(m.Target) >= unix.PathMax:
		return errors.New("the path is too long")
	case strings.ContainsRune(m.Target+m.Source, 0):
		return errors.New("the path contains a zero byte")
	case t == "/" || t == "/dev" || host.Under(t, "/proc") || host.Under(t, "/sys"):
		return errors.New("this path belongs to the sandbox")
	case m.Type != "bind" && m.Type != "tmpfs":
		return fmt.Errorf("unknown type %q", m.Type)
	case m.Type == "bind" && !filepath.IsAbs(m.Source):
		return fmt.Errorf("source %q is not absolute", m.Source)
	}
	return nil
}

// checkMapped refuses ids that do not exist in this user namespace: the kernel would only say EINVAL.
func checkMapped(uid, gid int, groups []int) error {
	for file, ids := range map[string][]int{"/proc/self/uid_map": {uid}, "/proc/self/gid_map": append([]int{gid}, groups...)} {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the ids of this process: %w", err)
		}
		ranges, err := host.ParseIDMap(string(b))
		if err != nil {
			return fmt.Errorf("parsing %s: %w", file, err)
		}
		for _, id := range ids {
			if !host.IsMapped(ranges, id) {
				return &host.Missing{
					What:   fmt.Sprintf("id %d is not among the ids that this user has", id),
					Remedy: "grant more subordinate ids, e.g.: sudo usermod --add-subuids 200000-265535 --add-subgids 200000-265535 $USER",
				}
			}
		}
	}
	return nil
}
