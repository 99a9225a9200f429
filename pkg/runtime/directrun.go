// This file owns the execution of a command without namespaces, as a plain process of root (package direct).

package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/direct"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// runDirect is Run in the isolations Inplace and Chroot.
func (s *Sandbox) runDirect(ctx context.Context) (err error) {
	if err := s.refuseDirect(); err != nil {
		return err
	}
	direct.Hide()
	t, err := openTree(s.Root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	dir, err := os.MkdirTemp(s.StateDir, "run-")
	if err != nil {
		return fmt.Errorf("making a directory for the command: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	end, err := s.showDirect(ctx, t, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := makeWorkDir(t, s); err != nil {
		return err
	}
	c, err := s.directCommand(t)
	if err != nil {
		return err
	}
	status, err := c.Run(ctx, grace)
	var refused *direct.StartError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refused):
		return directStartError(refused)
	case err != nil:
		return fmt.Errorf("executing the command: %w", err)
	}
	return exitOf(status)
}

// directCommand is the command of a sandbox.
func (s *Sandbox) directCommand(t *tree) (*direct.Command, error) {
	env, err := environ(s, t.open)
	if err != nil {
		return nil, err
	}
	limits, err := readUlimits(s.Ulimits, s.notice)
	if err != nil {
		return nil, err
	}
	c := &direct.Command{Root: s.Root, Dir: cmp.Or(s.Dir, "/"), Args: s.Args, Env: env, UID: s.UID, GID: s.GID, Groups: slices.Clone(s.Groups),
		Capabilities: numbersOf(defaultCaps()), NoNewRights: s.NoNewPrivileges, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr}
	if dev := filepath.Join(s.Root, "dev"); s.Isolation == host.Inplace && isMounted(dev) {
		c.Devices = dev
	}
	for _, l := range limits {
		c.Limits = append(c.Limits, direct.Limit{Kind: l.kind, Soft: l.soft, Hard: l.hard})
	}
	return c, nil
}

// isMounted says whether a directory is on another file system than the one that it lies in.
func isMounted(dir string) bool {
	var at, above unix.Stat_t
	return unix.Lstat(dir, &at) == nil && unix.Lstat(filepath.Dir(dir), &above) == nil && at.Dev != above.Dev
}

// refuseDirect refuses what cannot be had without namespaces, where a command would do something else without it.
func (s *Sandbox) refuseDirect() error {
	lacks := func(what, remedy string) error {
		return &host.Missing{What: "the isolation " + s.Isolation.String() + " has no " + what, Remedy: remedy}
	}
	elsewhere := "build where namespaces can be made"
	switch {
	case s.Network == "private" || s.Network == "none":
		return lacks("network of its own, and "+s.Network+" was asked for", "take --network=host, or "+elsewhere)
	case s.Insecure:
		return lacks("more rights than the container, and security=insecure was asked for", elsewhere)
	case s.Terminal != nil || len(s.Ports) > 0 || s.Cgroup != "" || s.KeepID != nil || s.ReadOnlyRoot || len(s.CapAdd)+len(s.CapDrop) > 0:
		return lacks("containers", elsewhere)
	case s.Isolation == host.Inplace && len(s.Hosts) > 0:
		return lacks("/etc/hosts of its own, and --add-host was given", "give --add-host to the container, or "+elsewhere)
	case len(s.Devices) > 0:
		return lacks("devices of its own", "give them to the container, where every RUN has them, or "+elsewhere)
	}
	return nil
}

// directStartError gives a command that could not be started the code that a shell ends with.
func directStartError(refused *direct.StartError) error {
	switch refused.Errno {
	case unix.ENOENT:
		return &ExitError{Code: 127, Err: refused}
	case unix.EACCES, unix.EISDIR:
		return &ExitError{Code: 126, Err: refused}
	}
	return refused
}
