package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// addFetchFlags adds the flags about what RUN fetches.
func (a *app) addFetchFlags(f *pflag.FlagSet, o *buildOptions) {
	f.StringVar(&o.pipCache, "pip-cache", "auto", "cache for a RUN that calls pip and mounts none: auto, off, or a directory, e.g. ~/.cache/pip")
	f.StringSliceVar(&o.autoCache, "auto-cache", []string{"pip", "uv"}, "tools that get a cache in each RUN that mounts none: pip, uv, apt, conda, npm; or none")
	f.Var((*list)(&o.mirrors), "mirror", "pip=URL, uv=URL or apt=URL to fetch packages from in RUN (repeatable; GBUILD_MIRROR)")
}

// autoTools are the tools that get a cache by themselves.
func (o *buildOptions) autoTools() (tools []dockerfile.Tool, err error) {
	for _, name := range o.autoCache {
		t := dockerfile.Tool(strings.TrimSpace(name))
		switch {
		case t == "none" || t == dockerfile.Pip && o.pipCache == "off":
		case slices.Contains(dockerfile.Tools, t):
			tools = append(tools, t)
		default:
			return nil, usagef("--auto-cache %s: it is one or more of pip, uv, apt, conda and npm, or none", name)
		}
	}
	return tools, nil
}

// addCaches puts the flags about what RUN fetches into the request.
func (a *app) addCaches(o *buildOptions, req *build.Request) (err error) {
	if req.AutoCache, err = o.autoTools(); err != nil {
		return err
	}
	switch o.pipCache {
	case "auto", "off":
	case "":
		return usagef("--pip-cache: it is auto, off, or a directory")
	default:
		if req.PipDir, err = filepath.Abs(o.pipCache); err != nil {
			return fmt.Errorf("finding --pip-cache: %w", err)
		}
		if !slices.Contains(req.AutoCache, dockerfile.Pip) {
			req.AutoCache = append(req.AutoCache, dockerfile.Pip)
		}
	}
	// The variable is no default of the flag: help would print it with its passwords.
	req.Mirrors, err = parseMirrors(append(strings.Fields(a.env("GBUILD_MIRROR")), o.mirrors...))
	return err
}

// parseMirrors reads TOOL=URL. Errors do not repeat a URL: it may have a password.
func parseMirrors(list []string) (map[dockerfile.Tool]*url.URL, error) {
	mirrors := map[dockerfile.Tool]*url.URL{}
	for _, s := range list {
		name, text, _ := strings.Cut(s, "=")
		t := dockerfile.Tool(name)
		if t != dockerfile.Pip && t != dockerfile.Uv && t != dockerfile.Apt {
			return nil, usageError{hint.Errorf("for images it is --registry-mirror", "--mirror: it is pip=URL, uv=URL or apt=URL")}
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usagef("--mirror %s: what follows is no http or https URL", name)
		}
		mirrors[t] = u
	}
	return mirrors, nil
}
