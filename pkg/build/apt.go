package build

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// apt is told everything by a file of configuration that the variable APT_CONFIG names: apt reads it before all others,
// and no file of the image has to be covered, which a RUN that edits it would trip over.
const aptConfig = autoDir + "/apt.conf"

// ownSources matches a RUN that changes where apt looks, or how it is configured: it must see its own files.
var ownSources = lazyregexp.New(`/etc/apt|add-apt-repository|apt-add-repository|dpkg\s|\.deb\b|extrepo`)

// apt configures apt for a RUN: with the mirror, and with packages that are kept.
func (c *toolCaches) apt(ctx context.Context, s *dockerfile.Run) (*dockerfile.Run, []runtime.Mount, error) {
	if c.req().Mirrors[dockerfile.Apt] == nil && !slices.Contains(c.req().AutoCache, dockerfile.Apt) {
		return s, nil, nil
	}
	if !s.Calls().Fetches(dockerfile.Apt) || s.Getenv("APT_CONFIG") != "" || s.Mentions(func(text string) bool { return strings.Contains(text, "APT_CONFIG") }) {
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
	file, err := c.leases.scratch.file([]byte(text.String()), 0o644, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	list = append(list, runtime.Mount{Type: "bind", Source: file, Target: aptConfig, ReadOnly: true})
	return s.Executing(s.Calls().WithCache(dockerfile.Apt, aptConfig)), list, nil
}

// aptCache keeps what apt fetches: in the mount of the Dockerfile, which docker-clean would empty, or in a cache of its
// own, for which that need not be turned off.
func (c *toolCaches) aptCache(ctx context.Context, s *dockerfile.Run, w io.Writer) ([]runtime.Mount, error) {
	if !slices.Contains(c.req().AutoCache, dockerfile.Apt) {
		return nil, nil
	}
	fmt.Fprint(w, "APT::Keep-Downloaded-Packages \"true\";\nBinary::apt::APT::Keep-Downloaded-Packages \"true\";\n")
	if s.CacheMount(dockerfile.Apt) != nil {
		return c.aptParts(w)
	}
	c.tellAuto(dockerfile.Apt)
	fmt.Fprintf(w, "Dir::Cache::Archives %q;\n", autoDir+"/apt/")
	return c.mountOwn(ctx, dockerfile.Apt, "", pipcache.Locked)
}

// aptParts leads apt to copies of the image's configuration, without docker-clean.
func (c *toolCaches) aptParts(w io.Writer) ([]runtime.Mount, error) {
	const dir = "/etc/apt/apt.conf.d"
	target := autoDir + "/apt.conf.d"
	mount, err := c.copies(dir, target, func(name string, text []byte) []byte {
		if name == "docker-clean" {
			return nil
		}
		return text
	})
	if err == nil && mount != nil {
		fmt.Fprintf(w, "Dir::Etc::Parts %q;\n", target)
		return []runtime.Mount{*mount}, nil
	}
	return nil, err
}

// copies makes a directory with what change makes of the files of one of the image; nil where the image has none.
func (c *toolCaches) copies(dir, target string, change func(name string, text []byte) []byte) (*runtime.Mount, error) {
	entries, err := resolvedDir(c.lower, dir)
	if err != nil {
		return nil, nil
	}
	out, err := c.leases.scratch.dir("apt")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := readSmall(c.lower, path.Join(dir, e.Name))
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
const maxConfig = 1 << 20

func readSmall(v *rootfs.View, name string) ([]byte, error) {
	f, err := v.Follow(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxConfig))
}

// aptMirror leads apt to copies of the image's sources with the mirror in them.
func (c *toolCaches) aptMirror(_ context.Context, s *dockerfile.Run, w io.Writer) ([]runtime.Mount, error) {
	mirror := c.req().Mirrors[dockerfile.Apt]
	if mirror == nil {
		return nil, nil
	}
	if s.Mentions(ownSources().MatchString) {
		c.leases.tell("the mirror of apt is not used here: the step sees to its sources itself")
		return nil, nil
	}
	parts, err := c.copies("/etc/apt/sources.list.d", autoDir+"/sources.list.d", func(_ string, text []byte) []byte {
		return mirrored(text, mirror)
	})
	if err != nil {
		return nil, err
	}
	list, err := readSmall(c.lower, "/etc/apt/sources.list")
	if err != nil {
		list = nil
	}
	file, err := c.leases.scratch.file(mirrored(list, mirror), 0o644, 0, 0)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "Dir::Etc::SourceList %q;\n", autoDir+"/sources.list")
	mounts := []runtime.Mount{{Type: "bind", Source: file, Target: autoDir + "/sources.list", ReadOnly: true}}
	if parts != nil {
		fmt.Fprintf(w, "Dir::Etc::SourceParts %q;\n", parts.Target)
		mounts = append(mounts, *parts)
	}
	return mounts, nil
}

// archiveURL is the URL of a distribution's own archive: one that ends in its name. Other vendors' have longer paths.
var archiveURL = lazyregexp.New(`\bhttps?://[^\s/]+/(debian|debian-security|ubuntu|ubuntu-ports)(/?)(\s|$)`)

// mirrored gives sources of apt a mirror: a host on which debian, debian-security, ubuntu and ubuntu-ports are side by
// side. Its URL may name one of them.
func mirrored(text []byte, mirror *url.URL) []byte {
	root := *mirror
	root.Path = strings.TrimSuffix(root.Path, "/")
	switch path.Base(root.Path) {
	case "debian", "debian-security", "ubuntu", "ubuntu-ports":
		root.Path = path.Dir(root.Path)
	}
	prefix := strings.TrimSuffix(root.String(), "/")
	// A template of a regular expression takes $ for a group.
	prefix = strings.ReplaceAll(prefix, "$", "$$")
	return archiveURL().ReplaceAll(append([]byte{}, text...), []byte(prefix+"/${1}${2}${3}"))
}
