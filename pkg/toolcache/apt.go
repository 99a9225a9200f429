// This file owns apt: its cache and its mirror are a matter of its configuration.
// APT_CONFIG names a file that apt reads before all others; so no file of the image is covered.

package toolcache

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// apt is told everything by a file of configuration that the variable APT_CONFIG names: apt reads it before all others,
// and no file of the image has to be covered, which a RUN that edits it would trip over.
const aptConfig = autoDir + "/apt.conf"

// apt configures apt for a RUN: with the mirror, and with packages that are kept.
func (c *Caches) apt(ctx context.Context, s *dockerfile.Run) (*dockerfile.Run, []runtime.Mount, error) {
	if c.build.Mirrors[installer.Apt] == nil && !slices.Contains(c.build.Tools, installer.Apt) {
		return s, nil, nil
	}
	if !s.Calls().Fetches(installer.Apt) || s.Getenv("APT_CONFIG") != "" || s.Mentions(func(text string) bool { return strings.Contains(text, "APT_CONFIG") }) {
		return s, nil, nil
	}
	var text strings.Builder
	var list []runtime.Mount
	for _, part := range []func(context.Context, *dockerfile.Run, io.Writer) ([]runtime.Mount, error){c.aptCache, c.aptMirror} {
		more, err := part(ctx, s, &text)
		if err != nil {
			return nil, nil, fmt.Errorf("configuring apt: %w", err)
		}
		list = append(list, more...)
	}
	if text.Len() == 0 {
		return s, nil, nil
	}
	file, err := c.build.Scratch.File([]byte(text.String()), 0o644, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	list = append(list, runtime.Mount{Type: "bind", Source: file, Target: aptConfig, ReadOnly: true})
	return s.Executing(s.Calls().WithCache(installer.Apt, aptConfig)), list, nil
}

// setApt writes a setting into a file of configuration.
func setApt(w io.Writer, name, value string) { fmt.Fprintf(w, "%s %q;\n", name, value) }

// aptCache keeps what apt fetches: in the mount of the Dockerfile, which docker-clean would empty, or in a cache of its
// own, for which that need not be turned off.
func (c *Caches) aptCache(ctx context.Context, s *dockerfile.Run, w io.Writer) ([]runtime.Mount, error) {
	if !slices.Contains(c.build.Tools, installer.Apt) {
		return nil, nil
	}
	fmt.Fprint(w, installer.AptKeeping)
	if s.CacheMount(installer.Apt) != nil {
		return c.aptParts(w)
	}
	c.tellAuto(installer.Apt)
	setApt(w, installer.AptArchives, autoDir+"/apt/")
	return c.mountOwn(ctx, installer.Apt)
}

// aptParts leads apt to copies of the image's configuration, without docker-clean.
func (c *Caches) aptParts(w io.Writer) ([]runtime.Mount, error) {
	target := autoDir + "/apt.conf.d"
	mount, err := c.copies(installer.AptPartsDir, target, func(name string, text []byte) []byte {
		if name == installer.AptCleaning {
			return nil
		}
		return text
	})
	if err == nil && mount != nil {
		setApt(w, installer.AptParts, target)
		return []runtime.Mount{*mount}, nil
	}
	return nil, err
}

// copies makes a directory with what change makes of the files of one of the image; nil where the image has none.
func (c *Caches) copies(dir, target string, change func(name string, text []byte) []byte) (*runtime.Mount, error) {
	entries, err := resolvedDir(c.Lower, dir)
	if err != nil {
		return nil, nil
	}
	out, err := c.build.Scratch.Dir("apt")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := readSmall(c.Lower, path.Join(dir, e.Name))
		if err != nil {
			continue // a directory, or a link that leads nowhere
		}
		if text = change(e.Name, text); text == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(out, e.Name), text, 0o644); err != nil {
			return nil, err
		}
	}
	return &runtime.Mount{Type: "bind", Source: out, Target: target, ReadOnly: true}, nil
}

// maxConfig is how much of a file of apt is read: the largest is a few kB.
// A configuration is read whole, and comes from an image that nobody vouches for; hence the bound, in bytes.
const maxConfig = 1 << 20

// readSmall reads a file of the configuration.
func readSmall(v *rootfs.View, name string) ([]byte, error) {
	f, err := v.Follow(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxConfig))
}

// aptMirror leads apt to copies of the image's sources with the mirror in them.
func (c *Caches) aptMirror(_ context.Context, s *dockerfile.Run, w io.Writer) ([]runtime.Mount, error) {
	mirror := c.build.Mirrors[installer.Apt]
	if mirror == nil {
		return nil, nil
	}
	if s.Mentions(installer.AptConfigures) {
		c.leases.Tell("the mirror of apt is not used here: the step sees to its sources itself")
		return nil, nil
	}
	parts, err := c.copies(installer.AptSourcePartsDir, autoDir+"/sources.list.d", func(_ string, text []byte) []byte {
		return installer.AptMirrored(text, mirror)
	})
	if err != nil {
		return nil, err
	}
	list, err := readSmall(c.Lower, installer.AptSourceListFile)
	if err != nil {
		list = nil
	}
	file, err := c.build.Scratch.File(installer.AptMirrored(list, mirror), 0o644, 0, 0)
	if err != nil {
		return nil, err
	}
	setApt(w, installer.AptSourceList, autoDir+"/sources.list")
	mounts := []runtime.Mount{{Type: "bind", Source: file, Target: autoDir + "/sources.list", ReadOnly: true}}
	if parts != nil {
		setApt(w, installer.AptSourceParts, parts.Target)
		mounts = append(mounts, *parts)
	}
	return mounts, nil
}
