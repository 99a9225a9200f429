package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/gpu"
)

// deviceNames are the devices that --device and --gpus give every RUN, the latter as CDI names.
func (a *app) deviceNames(ctx context.Context, o *buildOptions) ([]string, error) {
	requests, _, err := gpuRequests(o.gpus)
	if err != nil || len(requests) == 0 {
		return o.devices, err
	}
	for _, r := range requests {
		if legacy, err := r.Legacy(); err != nil || legacy {
			return nil, cmp.Or(err, usagef("--gpus …,driver=%s is for gbuild run: NVIDIA's hook would leave the driver in layers", r.Driver))
		}
	}
	gpus, err := a.catalog(ctx, o.cdiDirs).Resolve(requests...)
	return append(slices.Clone(o.devices), gpus...), err
}

// buildDevices finds the devices of a RUN, without a trace of them in its layer.
func (a *app) buildDevices(o *buildOptions, notice func(string)) func(context.Context, []string, []string) ([]runtime.Edits, error) {
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
			all = append(all, edits)
		}
		if len(cdi) == 0 {
			return all, nil
		}
		_, capabilities, err := gpuRequests(o.gpus)
		if err != nil {
			return nil, err
		}
		catalog := a.catalog(ctx, o.cdiDirs)
		edits, err := catalog.Inject(cdi, gpu.InjectOptions{Env: env, Capabilities: capabilities, Layerless: true})
		for _, n := range append(catalog.Notices, edits.Notices...) {
			notice(n)
		}
		return append(all, edits), err
	}
}
