// This file owns the execution of a command without namespaces, by an installed proot (package tracer).

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/tracer"
)

// runTraced is Run in the isolation Ptrace.
func (s *Sandbox) runTraced(ctx context.Context) (err error) {
	if err := s.refuseTraced(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.StateDir, "run-")
	if err != nil {
		return fmt.Errorf("making a directory for the command: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t, err := openTree(s.Root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := makeWorkDir(t, s); err != nil {
		return err
	}
	env, err := environ(s, t.open)
	if err != nil {
		return err
	}
	if code, err := tracer.Find(t.open, s.Args[0], env); err != nil {
		return &ExitError{Code: code, Err: fmt.Errorf("starting the command: %w", err)}
	}
	binds, err := s.tracedBinds(dir, t)
	if err != nil {
		return err
	}
	c := &tracer.Command{Program: host.SelfExe, Root: s.Root, Binds: binds, Dir: path.Join("/", s.Dir), UID: s.UID, GID: s.GID, Args: s.Args, Env: env,
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr}
	state, err := c.Run(ctx, grace)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case state == nil:
		return err
	}
	return exitError(state, err)
}

// refuseTraced refuses what proot cannot give, where a command would do something else without it.
func (s *Sandbox) refuseTraced() error {
	lacks := func(what, remedy string) error {
		return &host.Missing{What: "the isolation ptrace has no " + what, Remedy: remedy}
	}
	switch {
	case s.Network == "private" || s.Network == "none":
		return lacks("network of its own, and "+s.Network+" was asked for", "take --network=host, or build where namespaces can be made")
	case s.Terminal != nil:
		return lacks("terminals", "leave out -t, or run it where namespaces can be made")
	case len(s.Ports) > 0 || s.hasDriver():
		return lacks("published ports and no devices of its own", "run it where namespaces can be made")
	}
	return nil
}

// tracedBinds are the files of this host that the command sees. Mount points are made here, and go away with the tree: proot would
// leave the directories that they lie in with other times.
func (s *Sandbox) tracedBinds(dir string, t *tree) (binds []tracer.Bind, err error) {
	own, err := hostFiles(dir, s, host.ReadSetting("/etc/resolv.conf")+"\n")
	if err != nil {
		return nil, err
	}
	for i, m := range slices.Concat(own, s.Mounts) {
		source := filepath.Join(dir, fmt.Sprint("bind-", i))
		isDir, err := tracer.Prepare(source, m.Source, m.Mode)
		if err == nil && !tracer.IsShown(m.Target) {
			var at *spot
			if at, err = t.place(m.Target, !isDir, nil); err == nil {
				at.close()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("showing %s: %w", m.Target, err)
		}
		binds = append(binds, tracer.Bind{Source: source, Target: path.Clean(m.Target)})
	}
	return binds, nil
}
