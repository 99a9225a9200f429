// This file owns the devices and GPUs that a build gives every RUN.

package building

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// Devices name devices for every RUN; a Dockerfile may ask for more, where --allow=device grants that.
type Devices struct {
	// as docker run has them.
	GPUs []string
	// CDI names, or paths below /dev.
	Devices []string
	// Where both are looked up.
	Sources cli.DeviceSources
}

// Flags has the words of gbuild run, so that what works there works here.
func (f *Devices) Flags(flags *pflag.FlagSet) {
	flags.Var((*cli.List)(&f.GPUs), "gpus", "GPUs for every RUN, as gbuild run takes them: all, 2, device=0,1 (repeatable)")
	flags.Var((*cli.List)(&f.Devices), "device", "CDI name or /dev/NAME[:/dev/NAME][:rwm] for every RUN (repeatable)")
	f.Sources.Flags(flags)
}

// fill puts into the request the devices that --device and --gpus give every RUN, the latter as CDI names.
func (f *Devices) fill(ctx context.Context, req *build.Request, environ cli.Environment) error {
	req.Limits.Devices = slices.Clone(f.Devices)
	requests, _, err := cli.GPURequests(f.GPUs)
	if err != nil || len(requests) == 0 {
		return err
	}
	for _, r := range requests {
		if legacy, err := r.Legacy(); err != nil || legacy {
			return cmp.Or(err, cli.Usagef("--gpus …,driver=%s is for gbuild run: NVIDIA's hook would leave the driver in layers", r.Driver))
		}
	}
	catalog, err := f.Sources.Catalog(ctx, environ)
	if err != nil {
		return err
	}
	gpus, err := catalog.Resolve(requests...)
	req.Limits.Devices = append(req.Limits.Devices, gpus...)
	return err
}

// injector finds the devices of a RUN, without a trace of them in its layer.
func (f *Devices) injector(environ cli.Environment, notice func(string)) func(context.Context, []string, []string) ([]runtime.Edits, error) {
	return func(ctx context.Context, names, env []string) (all []runtime.Edits, err error) {
		var cdi []string
		for _, n := range names {
			if gpu.IsCDIName(n) {
				cdi = append(cdi, n)
				continue
			}
			edits, err := gpu.HostDevice(n)
			if err != nil {
				return nil, err
			}
			for _, n := range edits.Notices {
				notice(n)
			}
			all = append(all, edits)
		}
		if len(cdi) == 0 {
			return all, nil
		}
		_, capabilities, err := cli.GPURequests(f.GPUs)
		if err != nil {
			return nil, err
		}
		catalog, err := f.Sources.Catalog(ctx, environ)
		if err != nil {
			return nil, err
		}
		edits, err := catalog.Inject(cdi, gpu.InjectOptions{Env: env, Capabilities: capabilities, Layerless: true})
		for _, n := range append(catalog.Notices, edits.Notices...) {
			notice(n)
		}
		return append(all, edits), err
	}
}
