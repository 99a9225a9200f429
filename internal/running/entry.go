// This file owns what gbuild run writes down of a container beside its command, and what it takes over from others: labels, the file
// with its id, and their volumes.

package running

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Entry is the part about it.
type Entry struct {
	Labels, LabelFiles, VolumesFrom []string
	IDFile                          string
}

// Flags registers the flags, which are docker's.
func (e *Entry) Flags(f *pflag.FlagSet) {
	f.VarP((*cli.List)(&e.Labels), "label", "l", "NAME=VALUE, for gbuild ps and inspect (repeatable)")
	f.Var((*cli.List)(&e.LabelFiles), "label-file", "file of NAME=VALUE lines (repeatable)")
	f.StringVar(&e.IDFile, "cidfile", "", "file that gets the id of the container")
	f.Var((*cli.List)(&e.VolumesFrom), "volumes-from", "NAME[:ro]: the volumes and directories of another container (repeatable)")
}

// labels are those of the files and the flags, of which the last one of a name counts.
func (e *Entry) labels(ctx context.Context, a *cli.App) (map[string]string, error) {
	if len(e.Labels)+len(e.LabelFiles) == 0 {
		return nil, nil
	}
	all := map[string]string{}
	add := func(text string) error {
		name, value, _ := strings.Cut(text, "=")
		if key := strings.TrimLeft(name, " \t"); key == "" || strings.ContainsAny(key, " \t") {
			return cli.Usagef("invalid label: %s", text)
		}
		all[name] = value
		return nil
	}
	for _, name := range e.LabelFiles {
		text, err := a.Streams.Reader(ctx)(name)
		if err != nil {
			return nil, fmt.Errorf("reading label file: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := add(line); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range e.Labels {
		if err := add(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// checkIDFile refuses a file that is there: it may be that of a container that runs.
func (e *Entry) checkIDFile() error {
	if e.IDFile == "" {
		return nil
	}
	if _, err := os.Lstat(e.IDFile); !errors.Is(err, fs.ErrNotExist) {
		return hint.Errorf("remove it, if no container has it", "container ID file found: %s", e.IDFile)
	}
	return nil
}

// writeID writes it.
func (e *Entry) writeID(c *container.Container) error {
	if e.IDFile == "" {
		return nil
	}
	f, err := os.OpenFile(e.IDFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("writing the id of the container: %w", err)
	}
	_, err = f.WriteString(c.ID)
	return errors.Join(err, f.Close())
}

// fillVolumesFrom adds the mounts of other containers where the command line has not put something else.
func (e *Entry) fillVolumesFrom(box *runtime.Sandbox, a *cli.App) error {
	if len(e.VolumesFrom) == 0 {
		return nil
	}
	all, err := a.Containers()
	if err != nil {
		return err
	}
	for _, text := range e.VolumesFrom {
		name, mode, _ := strings.Cut(text, ":")
		if mode != "" && mode != "ro" && mode != "rw" && mode != "z" && mode != "Z" {
			return cli.Usagef("--volumes-from %s: it is NAME[:ro]", text)
		}
		other, err := all.Find(name)
		if err != nil {
			return err
		}
		for _, m := range other.Mounts {
			if covered(box.Mounts, m.Destination) {
				continue
			}
			mount := runtime.Mount{Type: "bind", Source: m.Source, Target: m.Destination, ReadOnly: !m.RW || mode == "ro"}
			if m.Name != "" {
				mount.Type, mount.Source = container.VolumeMount, m.Name
			}
			box.Mounts = append(box.Mounts, mount)
		}
	}
	return nil
}

// mountsOf are the mounts as the record has them. What is in memory only, and volumes without a name, are nobody else's.
func mountsOf(box *runtime.Sandbox) (list []container.MountPoint) {
	for _, m := range box.Mounts {
		p := container.MountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly}
		switch {
		case container.IsVolume(m) && m.Source == "", m.Type == "tmpfs":
			continue
		case container.IsVolume(m):
			p.Type, p.Name, p.Source = container.VolumeMount, m.Source, ""
		}
		list = append(list, p)
	}
	return slices.Clip(list)
}
