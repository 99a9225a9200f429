package main

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

func (o *runOptions) checkDevices() error {
	for _, g := range o.gpus {
		if _, err := gpu.Parse(g); err != nil {
			return err
		}
	}
	return nil
}

// cdiDirs are the directories of CDI specs, of which a later one wins: the administrator's, the user's, and those given.
func (a *app) cdiSpecDirs(given []string) []gpu.SpecDir {
	dirs := []gpu.SpecDir{{Path: "/etc/cdi"}, {Path: "/var/run/cdi"}}
	config := a.env("XDG_CONFIG_HOME")
	if config == "" && a.env("HOME") != "" {
		config = filepath.Join(a.env("HOME"), ".config")
	}
	for _, base := range []string{config, a.env("XDG_RUNTIME_DIR")} {
		if filepath.IsAbs(base) {
			dirs = append(dirs, gpu.SpecDir{Path: filepath.Join(base, "cdi"), User: true})
		}
	}
	for _, d := range given {
		dirs = append(dirs, gpu.SpecDir{Path: d, User: true})
	}
	return dirs
}

func (a *app) catalog(ctx context.Context, given []string) *gpu.Catalog {
	return gpu.OpenCatalog(ctx, a.cdiSpecDirs(given))
}

// addDevices gives the sandbox what --gpus and --device ask for.
func (a *app) addDevices(ctx context.Context, o *runOptions, c *container.Container, box *runtime.Sandbox) error {
	var names []string
	for _, d := range o.devices {
		if gpu.IsCDIName(d) {
			names = append(names, d)
			continue
		}
		edits, err := gpu.HostDevice(d)
		if err != nil {
			return err
		}
		box.Devices = append(box.Devices, edits)
	}
	requests, capabilities, err := gpuRequests(o.gpus)
	if err != nil {
		return err
	}
	if requests, err = a.addLegacy(box, requests, c); err != nil {
		return err
	}
	if len(names)+len(requests) == 0 {
		if notice := gpu.Hint(box.Env); notice != "" && len(o.gpus) == 0 {
			box.Notice(notice)
		}
		return nil
	}
	return a.inject(ctx, o, box, names, requests, capabilities)
}

// gpuRequests reads --gpus: which GPUs, and which of the driver's capabilities.
func gpuRequests(flags []string) (requests []gpu.Request, capabilities string, err error) {
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

// addLegacy serves the requests that ask for NVIDIA's hook, and returns the others.
func (a *app) addLegacy(box *runtime.Sandbox, requests []gpu.Request, c *container.Container) (others []gpu.Request, err error) {
	for _, r := range requests {
		legacy, err := r.Legacy()
		if err != nil {
			return nil, err
		}
		if !legacy {
			others = append(others, r)
			continue
		}
		hook, err := exec.LookPath("nvidia-container-runtime-hook")
		if err != nil {
			return nil, hint.Errorf("install NVIDIA's container toolkit, or leave out driver="+r.Driver+": gbuild needs no tools for --gpus", "nvidia-container-runtime-hook is not installed")
		}
		edits, err := gpu.LegacyEdits(r, hook, c.Dir())
		if err != nil {
			return nil, err
		}
		box.Devices = append(box.Devices, edits)
	}
	return others, nil
}

func (a *app) inject(ctx context.Context, o *runOptions, box *runtime.Sandbox, names []string, requests []gpu.Request, capabilities string) error {
	catalog := a.catalog(ctx, o.cdiDirs)
	defer func() { // also before an error, of which they may be the reason
		for _, n := range catalog.Notices {
			box.Notice(n)
		}
	}()
	asked, err := catalog.Resolve(requests...)
	if err != nil {
		return err
	}
	for _, n := range asked {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(requests) > 0 {
		if driver, err := gpu.FindDriver(ctx); err == nil {
			if err := gpu.CheckRequirements(box.Env, driver); err != nil {
				return err
			}
		}
	}
	edits, err := catalog.Inject(names, gpu.InjectOptions{Env: box.Env, Capabilities: capabilities})
	if err != nil {
		return err
	}
	for _, n := range edits.Notices {
		box.Notice(n)
	}
	box.Devices = append(box.Devices, edits)
	return nil
}
