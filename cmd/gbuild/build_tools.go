// This file owns the flags of gbuild build about what package managers fetch in a RUN: caches that nobody mounted, and
// mirrors.

package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/installer"
)

// toolFlags say for which package managers something is done that the Dockerfile does not ask for.
type toolFlags struct {
	// Auto, off, or a directory of the user's.
	pipCache string
	// These tools get a cache that no RUN mounted.
	autoCache []string
	// TOOL=URL; a URL may have a password.
	mirrors []string
}

// add has no default for the mirrors: see fill.
func (f *toolFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.pipCache, "pip-cache", "auto", "cache for a RUN that calls pip and mounts none: auto, off, or a directory, e.g. ~/.cache/pip")
	flags.StringSliceVar(&f.autoCache, "auto-cache", []string{"pip", "uv"}, "tools that get a cache in each RUN that mounts none: pip, uv, apt, conda, npm; or none")
	flags.Var((*cli.List)(&f.mirrors), "mirror", "pip=URL, uv=URL or apt=URL to fetch packages from in RUN (repeatable; GBUILD_MIRROR)")
}

// autoTools are the tools that get a cache by themselves.
func (f *toolFlags) autoTools() (tools []installer.Tool, err error) {
	for _, name := range f.autoCache {
		t := installer.Tool(strings.TrimSpace(name))
		switch {
		case t == "none" || t == installer.Pip && f.pipCache == "off":
		case slices.Contains(installer.Tools, t):
			tools = append(tools, t)
		default:
			return nil, cli.Usagef("--auto-cache %s: it is one or more of pip, uv, apt, conda and npm, or none", name)
		}
	}
	return tools, nil
}

// fill puts into the request which tools get caches, and which mirrors they ask.
func (f *toolFlags) fill(req *build.Request, environ cli.Environment) (err error) {
	if req.AutoCache, err = f.autoTools(); err != nil {
		return err
	}
	switch f.pipCache {
	case "auto", "off":
	case "":
		return cli.Usagef("--pip-cache: it is auto, off, or a directory")
	default:
		if req.PipDir, err = filepath.Abs(f.pipCache); err != nil {
			return fmt.Errorf("finding --pip-cache: %w", err)
		}
		if !slices.Contains(req.AutoCache, installer.Pip) {
			req.AutoCache = append(req.AutoCache, installer.Pip)
		}
	}
	// The variable is no default of the flag: help would print it with its passwords.
	req.Mirrors, err = parseMirrors(append(strings.Fields(environ.Get("GBUILD_MIRROR")), f.mirrors...))
	return err
}

// parseMirrors reads TOOL=URL. Errors do not repeat a URL: it may have a password.
func parseMirrors(words []string) (map[installer.Tool]*url.URL, error) {
	mirrors := map[installer.Tool]*url.URL{}
	for _, s := range words {
		name, text, _ := strings.Cut(s, "=")
		t := installer.Tool(name)
		if t != installer.Pip && t != installer.Uv && t != installer.Apt {
			return nil, cli.Usage(hint.Errorf("for images it is --registry-mirror", "--mirror: it is pip=URL, uv=URL or apt=URL"))
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, cli.Usagef("--mirror %s: what follows is no http or https URL", name)
		}
		mirrors[t] = u
	}
	return mirrors, nil
}
