// This file owns the GPUs and other devices that a container gets. There are three ways: a node of /dev is bound as it is; a
// device with a CDI name, and a GPU of --gpus, is what the CDI specs of this host say of it, or what gbuild finds out about
// the driver itself; and NVIDIA's hook is run only where driver= of --gpus asks for it.

package running

import (
	"context"
	"os/exec"
	"slices"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// Devices is the part about --gpus and --device. What both find are edits of the sandbox.
type Devices struct {
	GPUs, Devices []string
	Sources       cli.DeviceSources // where both are looked up

	requests     []gpu.Request // GPUs, parsed
	capabilities string        // the capabilities of the driver that GPUs asks for
}

// Flags registers the flags.
func (d *Devices) Flags(f *pflag.FlagSet) {
	f.Var((*cli.List)(&d.GPUs), "gpus", "GPUs as docker takes them: all, 2, device=0,1, \"device=GPU-…\",… (repeatable)")
	f.Var((*cli.List)(&d.Devices), "device", "CDI name (vendor/class=name) or /dev/NAME[:/dev/NAME][:rwm] (repeatable)")
	d.Sources.Flags(f)
}

// parse reads --gpus. Whether there are such GPUs is asked only when the sandbox is filled.
func (d *Devices) parse() (err error) {
	d.requests, d.capabilities, err = cli.GPURequests(d.GPUs)
	return err
}

// fill gives the sandbox what --gpus and --device ask for. NVIDIA's hook works in dir.
func (d *Devices) fill(ctx context.Context, box *runtime.Sandbox, environ cli.Environment, dir string) error {
	var names []string
	for _, name := range d.Devices {
		if gpu.IsCDIName(name) {
			names = append(names, name)
			continue
		}
		edits, err := gpu.HostDevice(name)
		if err != nil {
			return err
		}
		box.Devices = append(box.Devices, edits)
	}
	requests, err := d.fillLegacy(box, dir)
	if err != nil {
		return err
	}
	if len(names)+len(requests) == 0 {
		// The image was made for GPUs and none was asked for. That is legal, and mostly an oversight.
		if notice := gpu.Hint(box.Env); notice != "" && len(d.GPUs) == 0 {
			box.Notice(notice)
		}
		return nil
	}
	catalog, err := d.Sources.Catalog(ctx, environ)
	if err != nil {
		return err
	}
	// What the image demands of the driver counts for --gpus only; a CDI name is taken as it is.
	if names, err = withAsked(names, requests, catalog); err == nil && len(requests) > 0 {
		err = catalog.CheckRequirements(box.Env)
	}
	if err == nil {
		err = d.inject(box, catalog, names)
	}
	for _, n := range catalog.Notices { // may be the reason for an error
		box.Notice(n)
	}
	return err
}

// haveGPU says whether a GPU is among the devices: what has a CDI name counts for one, and so does the node of one.
func (d *Devices) haveGPU(box *runtime.Sandbox) bool {
	return box.HasGPU() || slices.ContainsFunc(d.Devices, gpu.IsCDIName)
}

// fillLegacy serves the requests that ask for NVIDIA's hook, which works in dir, and returns the others.
func (d *Devices) fillLegacy(box *runtime.Sandbox, dir string) (others []gpu.Request, err error) {
	for _, r := range d.requests {
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
		edits, err := gpu.LegacyEdits(r, hook, dir)
		if err != nil {
			return nil, err
		}
		box.Devices = append(box.Devices, edits)
	}
	return others, nil
}

// withAsked adds the devices that the requests mean to those that are named.
func withAsked(names []string, requests []gpu.Request, catalog *gpu.Catalog) ([]string, error) {
	asked, err := catalog.Resolve(requests...)
	for _, n := range asked {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names, err
}

// inject adds the CDI devices of these names.
func (d *Devices) inject(box *runtime.Sandbox, catalog *gpu.Catalog, names []string) error {
	edits, err := catalog.Inject(names, gpu.InjectOptions{Env: box.Env, Capabilities: d.capabilities})
	if err != nil {
		return err
	}
	for _, n := range edits.Notices {
		box.Notice(n)
	}
	box.Devices = append(box.Devices, edits)
	return nil
}
