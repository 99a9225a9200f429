// This file owns the options about what package managers fetch in a RUN: caches that nobody mounted, and
// mirrors.

package building

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

// Tools say for which package managers something is done that the Dockerfile does not ask for.
type Tools struct {
	// Auto, off, or a directory of the user's.
	PipCache string
	// These tools get a cache that no RUN mounted.
	AutoCache []string
	// TOOL=URL; a URL may have a password.
	Mirrors []string
}

// Flags has no default for the mirrors: see fill.
func (f *Tools) Flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.PipCache, "pip-cache", f.PipCache, "cache for a RUN that calls pip and mounts none: auto, off, or a directory, e.g. ~/.cache/pip")
	flags.StringSliceVar(&f.AutoCache, "auto-cache", f.AutoCache, "tools that get a cache in each RUN that mounts none: pip, uv, apt, conda, npm; or none")
	flags.Var((*cli.List)(&f.Mirrors), "mirror", "pip=URL, uv=URL or apt=URL to fetch packages from in RUN (repeatable; GBUILD_MIRROR)")
}

// autoTools are the tools that get a cache by themselves.
func (f *Tools) autoTools() (tools []installer.Tool, err error) {
	for _, name := range f.AutoCache {
		t := installer.Tool(strings.TrimSpace(name))
		switch {
		case t == "none" || t == installer.Pip && f.PipCache == "off":
		case slices.Contains(installer.Tools, t):
			tools = append(tools, t)
		default:
			return nil, cli.Usagef("--auto-cache %s: it is one or more of pip, uv, apt, conda and npm, or none", name)
		}
	}
	return tools, nil
}

// fill puts into the request which tools get caches, and which mirrors they ask.
func (f *Tools) fill(req *build.Request, environ cli.Environment) (err error) {
	if req.AutoCache, err = f.autoTools(); err != nil {
		return err
	}
	switch f.PipCache {
	case "auto", "off":
	case "":
		return cli.Usagef("--pip-cache: it is auto, off, or a directory")
	default:
		if req.PipDir, err = filepath.Abs(f.PipCache); err != nil {
			return fmt.Errorf("finding --pip-cache: %w", err)
		}
		if !slices.Contains(req.AutoCache, installer.Pip) {
			req.AutoCache = append(req.AutoCache, installer.Pip)
		}
	}
	// The variable is no default of the flag: help would print it with its passwords.
	req.Mirrors, err = parseMirrors(append(strings.Fields(environ.Get("GBUILD_MIRROR")), f.Mirrors...))
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
