// This file owns the execution of a RUN: it puts the Sandbox together (user, environment, network, mounts, limits), runs it, and
// passes its output on as Events. What the RUN sees of files is mounted by mounts.go.

package build

import (
	"context"
	"errors"
	"slices"

	"github.com/gbuild/gbuild/pkg/build/reasons"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// runIn executes a RUN in a sandbox over the draft.
func (w *work) runIn(ctx context.Context, d *layers.Draft, s *dockerfile.Run) (err error) {
	runs, req := w.build.runs, w.build.req
	if err := entitled(req, s); err != nil {
		return err
	}
	id, err := runtime.LookupUser(d.Lower().Follow, s.User)
	if err != nil {
		return err
	}
	tools := runs.tools.Begin(toolRunOf(w, s, d, id))
	l := tools.Leases()
	defer func() { err = errors.Join(err, l.Release()) }()
	cached, caches, err := tools.Give(ctx, s)
	if err != nil {
		return err
	}
	list, env, err := (&mounts{work: w, leases: l, tools: tools}).prepare(ctx, cached)
	if err != nil {
		return err
	}
	root, err := d.Mount(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	said := &toolcache.Output{}
	secrets := passwords(req.Mirrors, s.ProxyEnv)
	logs := func(stderr bool) *mask {
		return &mask{secrets: secrets, out: func(p []byte) {
			said.Write(p, stderr)
			w.build.events.report(Event{Type: Log, Step: w.number, Data: p, Stderr: stderr})
		}}
	}
	out, errs := logs(false), logs(true)
	box := &runtime.Sandbox{
		Root: root, StateDir: d.Private(), Args: cached.Args, Env: slices.Concat(cached.Env, s.ProxyEnv, mirrorEnv(req.Mirrors, s), env),
		Dir: s.Dir, UID: id.UID, GID: id.GID, Groups: id.Groups, Mounts: append(list, caches...),
		Network: networkOf(req, s.Network), Networks: &runs.networks, Hostname: s.Hostname, Hosts: req.Limits.Hosts, Insecure: s.Security == "insecure",
		ShmSize: req.Limits.ShmSize, Ulimits: req.Limits.Ulimits,
		Stdout: out, Stderr: errs,
		Notice: l.Tell,
	}
	if box.Devices, err = runs.devices(ctx, req, s, box.Env, l.Tell); err != nil {
		return err
	}
	w.packAhead(ctx, d, s)
	err = runs.exec(ctx, box)
	out.flush()
	errs.flush()
	w.sawCache = w.sawCache || l.Taken()
	tools.DoubtFetched()
	if err == nil {
		tools.KeepBodies()
	}
	err = reasons.OfExit(d.Left, s, err, root, said)
	if ctx.Err() == nil {
		tools.Report(said)
		err = blameCaches(err, tools.Stale(said))
	}
	return err
}

// networkOf is the network of a RUN, or that of the command line where it names none.
func networkOf(req *Request, name string) string {
	if name != "" {
		return name
	}
	return req.Limits.Network
}
