// This file owns how a command line names GPUs and other devices, for builds and for containers.

package cli

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// GPURequests reads --gpus: which GPUs, and which of the driver's capabilities.
func GPURequests(flags []string) (requests []gpu.Request, capabilities string, err error) {
	for _, g := range flags {
		r, err := gpu.Parse(g)
		if err != nil {
			return nil, "", err
		}
		if !r.None() {
			requests = append(requests, r)
			capabilities = cmp.Or(r.DriverCapabilities(), capabilities)
		}
	}
	return requests, capabilities, nil
}

// cdiSpecDirs are the directories of CDI specs, of which a later one wins: the administrator's, the user's, and those given.
func cdiSpecDirs(environ Environment, given []string) []gpu.SpecDir {
	dirs := []gpu.SpecDir{{Path: "/etc/cdi"}, {Path: "/var/run/cdi"}}
	config := environ.Get("XDG_CONFIG_HOME")
	if config == "" && environ.Get("HOME") != "" {
		config = filepath.Join(environ.Get("HOME"), ".config")
	}
	for _, base := range []string{config, environ.Get("XDG_RUNTIME_DIR")} {
		if filepath.IsAbs(base) {
			dirs = append(dirs, gpu.SpecDir{Path: filepath.Join(base, "cdi"), User: true})
		}
	}
	for _, d := range given {
		dirs = append(dirs, gpu.SpecDir{Path: d, User: true})
	}
	return dirs
}

// OpenCatalog reads the CDI specs of this host, and of directories that the command line names.
func OpenCatalog(ctx context.Context, environ Environment, given []string) *gpu.Catalog {
	return gpu.OpenCatalog(ctx, cdiSpecDirs(environ, given))
}
