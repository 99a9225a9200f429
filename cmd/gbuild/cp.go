// This file owns gbuild cp: which end of a copy is a container, and which is the host. The files of a container that runs are packed
// and unpacked by its own processes; those of one that has ended by this one, in namespaces.

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/running"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/container/copying"
	"github.com/gbuild/gbuild/pkg/layers"
)

// cpOptions are the flags.
type cpOptions struct{ owners, follow bool }

// newCpCommand has the rules of docker cp.
func newCpCommand(a *cli.App) *cobra.Command {
	var o cpOptions
	c := &cobra.Command{
		Use: "cp CONTAINER:PATH PATH|- | cp PATH|- CONTAINER:PATH", Short: "Copy files out of a container or into it", Args: cobra.ExactArgs(2),
		Long: `Copy files out of a container or into it, whether it runs or has ended. A directory is copied into one that is there, and as one that is not; with /. at its end it is
what is in it. - is a tar on standard input or output. No link in the container leads out of it.`,
		Example: "  gbuild cp trainer:/workspace/outputs/. ./outputs\n  gbuild cp config.json api:/etc/api/\n  gbuild cp api:/var/log - | tar -t",
		RunE:    func(c *cobra.Command, args []string) error { return copyFiles(c.Context(), a, o, args[0], args[1]) },
	}
	c.Flags().BoolVarP(&o.owners, "archive", "a", false, "keep the numbers of users and groups")
	c.Flags().BoolVarP(&o.follow, "follow-link", "L", false, "copy what a link at the end of the source leads to")
	c.Flags().BoolP("quiet", "q", false, "taken for docker's sake: nothing is printed")
	return c
}

// splitPath divides CONTAINER:PATH; a path of the host that has a colon begins with a slash or a dot.
func splitPath(text string) (name, file string) {
	if before, after, isContainer := strings.Cut(text, ":"); isContainer && !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, ".") {
		return before, after
	}
	return "", text
}

// copyFiles finds out which end is the container.
func copyFiles(ctx context.Context, a *cli.App, o cpOptions, source, target string) error {
	fromName, from := splitPath(source)
	toName, to := splitPath(target)
	switch {
	case fromName != "" && toName != "":
		return cli.Usagef("copying between containers is not supported: copy to the host and from there, or gbuild cp A:PATH - | gbuild cp - B:PATH")
	case fromName == "" && toName == "":
		return cli.Usagef("one of the two must be a container: NAME:PATH")
	}
	c, err := findContainer(a, fromName+toName)
	if err != nil {
		return err
	}
	if c.Pid != 0 && c.Alive() {
		return o.between(a, inContainer{c}, fromName != "", from, to)
	}
	return a.InStore(ctx, func(ctx context.Context, store *layers.Store) (err error) {
		if err := c.Hold(); err != nil { // nobody starts it meanwhile
			return err
		}
		d, err := running.OpenFiles(ctx, store, c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Discard()) }()
		dir, err := d.Mount(ctx)
		if err != nil {
			return err
		}
		root, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer root.Close() // before the mount ends
		return o.between(a, inTree{root}, fromName != "", from, to)
	})
}

// tree is one end of a copy.
type tree interface {
	stat(file string) (copying.Info, error)
	pack(to *os.File, file, first string, follow bool) error
	unpack(from *os.File, dir string, owners bool) error
}

// inContainer are the files of a container that runs.
type inContainer struct{ c *container.Container }

func (t inContainer) stat(file string) (copying.Info, error) { return t.c.Stat(file) }
func (t inContainer) pack(to *os.File, file, first string, follow bool) error {
	return t.c.Pack(to, file, first, follow)
}
func (t inContainer) unpack(from *os.File, dir string, owners bool) error {
	return t.c.Unpack(from, dir, owners)
}

// inTree are files below an open directory.
type inTree struct{ root *os.File }

func (t inTree) stat(file string) (copying.Info, error) { return copying.Stat(t.root, file), nil }
func (t inTree) pack(to *os.File, file, first string, follow bool) error {
	defer to.Close()
	return copying.Pack(to, t.root, file, first, follow)
}
func (t inTree) unpack(from *os.File, dir string, owners bool) error {
	defer from.Close()
	return copying.Unpack(from, t.root, dir, owners)
}

// onHost are the files of the host. What is unpacked there may come from a stranger: it stays in the directory that it is for.
type onHost struct{ inTree }

func (onHost) unpack(from *os.File, dir string, owners bool) error {
	at, err := os.Open(dir)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	defer at.Close()
	return inTree{at}.unpack(from, "/", owners)
}

// absolute keeps the end of a path, which has a meaning.
func absolute(file string) (string, error) {
	abs, err := filepath.Abs(file)
	switch {
	case err != nil:
		return "", err
	case strings.HasSuffix(file, "/.") || file == ".":
		return strings.TrimSuffix(abs, "/") + "/.", nil
	case strings.HasSuffix(file, "/"):
		return strings.TrimSuffix(abs, "/") + "/", nil
	}
	return abs, nil
}

// between copies between a container and the host, or a stream of the host.
func (o cpOptions) between(a *cli.App, c tree, out bool, from, to string) error {
	slash, err := os.Open("/")
	if err != nil {
		return err
	}
	defer slash.Close()
	switch {
	case out && to == cli.StdinName:
		stdout, err := a.ArchiveOutput()
		if err != nil {
			return err
		}
		return c.pack(stdout, from, cmp.Or(strings.Trim(path.Base(path.Clean("/"+from)), "/"), "."), o.follow)
	case !out && from == cli.StdinName:
		in, isFile := a.Stdin.(*os.File)
		if !isFile {
			return errors.New("standard input is no file")
		}
		return c.unpack(in, to, o.owners)
	case out:
		if to, err = absolute(to); err != nil {
			return err
		}
		return o.copy(c, from, onHost{inTree{slash}}, to)
	}
	if from, err = absolute(from); err != nil {
		return err
	}
	return o.copy(onHost{inTree{slash}}, from, c, to)
}

// copy plans, packs and unpacks.
func (o cpOptions) copy(source tree, from string, target tree, to string) error {
	have, err := source.stat(from)
	if err != nil {
		return err
	}
	there, err := target.stat(to)
	if err != nil {
		return err
	}
	plan, err := copying.Plan(have, there)
	if err != nil {
		return err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	packed := make(chan error, 1)
	go func() { packed <- source.pack(out, from, plan.Name, o.follow) }()
	err = target.unpack(in, plan.Dir, o.owners)
	// Who packs fails for the sake of who unpacks when there is nobody to read, and else by itself.
	if failed := <-packed; failed != nil && (err == nil || !strings.Contains(failed.Error(), "broken pipe")) {
		return failed
	}
	return err
}
