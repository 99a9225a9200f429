// This file owns how a command line names GPUs and other devices, for builds and for containers.

package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

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

// DeviceSources say where devices are described, and where the files of NVIDIA's driver are.
type DeviceSources struct {
	SpecDirs    []string
	DriverRoot  string
	LibraryDirs []string
}

// Flags are the same for all commands that look for devices.
func (s *DeviceSources) Flags(f *pflag.FlagSet) {
	f.Var((*List)(&s.SpecDirs), "cdi-spec-dir", "further directory of CDI specs (repeatable)")
	f.StringVar(&s.DriverRoot, "driver-root", "", "directory below which NVIDIA's driver is installed, where that is not /")
	f.Var((*List)(&s.LibraryDirs), "library-dir", "directory of NVIDIA's libraries, where they are found in no usual one (repeatable)")
}

// place is where the driver is looked for.
func (s *DeviceSources) place() (gpu.Place, error) {
	p := gpu.Place{Root: s.DriverRoot}
	for _, d := range s.LibraryDirs {
		dir, err := filepath.Abs(d)
		if err != nil {
			return p, fmt.Errorf("--library-dir %s: %w", d, err)
		}
		p.LibraryDirs = append(p.LibraryDirs, dir)
	}
	if p.Root == "" {
		return p, nil
	}
	var err error
	if p.Root, err = filepath.Abs(p.Root); err != nil {
		return p, fmt.Errorf("--driver-root %s: %w", s.DriverRoot, err)
	}
	return p, nil
}

// Driver finds NVIDIA's driver.
func (s *DeviceSources) Driver(ctx context.Context) (*gpu.Driver, error) {
	at, err := s.place()
	if err != nil {
		return nil, err
	}
	return gpu.FindDriver(ctx, at)
}

// Catalog has the devices of the CDI specs of this host, and of NVIDIA's driver.
func (s *DeviceSources) Catalog(ctx context.Context, environ Environment) (*gpu.Catalog, error) {
	at, err := s.place()
	if err != nil {
		return nil, err
	}
	return gpu.OpenCatalog(ctx, cdiSpecDirs(environ, s.SpecDirs), at), nil
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
