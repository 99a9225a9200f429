// This file owns the GPUs and other devices that a container gets. There are three ways: a node of /dev is bound as it is; a
// device with a CDI name, and a GPU of --gpus, is what the CDI specs of this host say of it, or what gbuild finds out about
// the driver itself; and NVIDIA's hook is run only where driver= of --gpus asks for it.

package running

import (
	"cmp"
	"context"
	"os/exec"
	"path"
	"slices"
	"sync"

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
	Runtime       string            // the program that docker would run

	requests     []gpu.Request // GPUs, parsed
	capabilities string        // the capabilities of the driver that GPUs asks for

	catalog func() (*gpu.Catalog, error) // see look
}

// Flags registers the flags.
func (d *Devices) Flags(f *pflag.FlagSet) {
	f.Var((*cli.List)(&d.GPUs), "gpus", "GPUs as docker takes them: all, 2, device=0,1, \"device=GPU-…\",… (repeatable)")
	f.Var((*cli.List)(&d.Devices), "device", "CDI name (vendor/class=name) or /dev/NAME[:/dev/NAME][:rwm] (repeatable)")
	f.StringVar(&d.Runtime, "runtime", "", "nvidia: without --gpus, NVIDIA_VISIBLE_DEVICES says which GPUs; runc and crun mean nothing")
	d.Sources.Flags(f)
}

// runtimes are names of runtimes that docker and podman are given, and whether GPUs are chosen by the environment of the container then. gbuild
// is the runtime itself, whatever it is called.
var runtimes = map[string]bool{
	"runc": false, "crun": false, "io.containerd.runc.v2": false, "io.containerd.runtime.v1.linux": false,
	"nvidia": true, "nvidia-legacy": true, "nvidia-cdi": true,
	"nvidia-container-runtime": true, "nvidia-container-runtime.legacy": true, "nvidia-container-runtime.cdi": true, "nvidia-container-runtime-experimental": true,
}

// checkRuntime refuses runtimes of which something else is wanted than gbuild does.
func (d *Devices) checkRuntime() error {
	if _, ok := runtimes[path.Base(cmp.Or(d.Runtime, "runc"))]; ok {
		return nil
	}
	remedy := "leave it out: gbuild runs containers itself, by namespaces; nvidia, runc and crun are taken"
	if d.Runtime == "amd" {
		remedy = "give AMD's GPUs by --device /dev/kfd --device /dev/dri, or by --device amd.com/gpu=all where there is a CDI spec"
	}
	return cli.Usage(hint.Errorf(remedy, "--runtime %s: gbuild has no such runtime", d.Runtime))
}

// parse reads --gpus and --device. Whether there are such devices is asked only when the sandbox is filled.
func (d *Devices) parse() (err error) {
	if err := d.checkRuntime(); err != nil {
		return err
	}
	for _, name := range d.Devices {
		if _, err := gpu.ParseDevice(name); err != nil && !gpu.IsCDIName(name) {
			return cli.Usage(err)
		}
	}
	d.requests, d.capabilities, err = cli.GPURequests(d.GPUs)
	return err
}

// look lets the devices of this host be looked up, once. Where some are asked for that begins now, while the image is made ready.
func (d *Devices) look(ctx context.Context, environ cli.Environment) {
	d.catalog = sync.OnceValues(func() (*gpu.Catalog, error) { return d.Sources.Catalog(ctx, environ) })
	if len(d.requests) > 0 || slices.ContainsFunc(d.Devices, gpu.IsCDIName) {
		go func() { _, _ = d.catalog() }()
	}
}

// fill gives the sandbox what --gpus and --device ask for, after look. NVIDIA's hook works in dir.
func (d *Devices) fill(box *runtime.Sandbox, dir string) error {
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
		add(box, edits)
	}
	requests, err := d.fillLegacy(box, dir)
	if err != nil {
		return err
	}
	byEnv := runtimes[path.Base(cmp.Or(d.Runtime, "runc"))] && len(d.GPUs) == 0
	if visible := gpu.Visible(box.Env); byEnv && !visible.None() {
		requests = append(requests, visible)
	}
	if len(names)+len(requests) == 0 {
		// The image was made for GPUs and none was asked for. That is legal, and mostly an oversight.
		if notice := gpu.Hint(box.Env); notice != "" && len(d.GPUs) == 0 && !byEnv {
			box.Notice(notice)
		}
		return nil
	}
	catalog, err := d.catalog()
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
	edits, err := catalog.Inject(names, gpu.InjectOptions{Env: box.Env, Capabilities: d.capabilities, Privileged: box.Insecure})
	if err != nil {
		return err
	}
	add(box, edits)
	return nil
}

// add gives the sandbox what devices need, and says what is left out of that.
func add(box *runtime.Sandbox, edits runtime.Edits) {
	for _, n := range edits.Notices {
		box.Notice(n)
	}
	box.Devices = append(box.Devices, edits)
}
