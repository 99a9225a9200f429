// This file owns the execution of a RUN in a sandbox.

package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// runs are what the RUNs of one build share.
type runs struct {
	exec     func(context.Context, *runtime.Sandbox) error
	inject   func(ctx context.Context, names, env []string) ([]runtime.Edits, error) // may be nil
	caches   *pipcache.Caches
	scratch  *scratch
	networks network.Pool

	emptied once[string, struct{}]          // caches that --no-cache-mounts removes, by their id
	bodies  once[*pipcache.Lease, struct{}] // what pip has fetched is looked at for other scopes
}

func newRuns(b *Builder, t *tasks) *runs {
	return &runs{exec: b.Exec, inject: b.Inject, caches: b.Caches, scratch: &scratch{store: b.Store},
		emptied: once[string, struct{}]{tasks: t}, bodies: once[*pipcache.Lease, struct{}]{tasks: t}}
}

func (r *runs) close() {
	r.scratch.close()
	r.networks.Close()
}

// runIn executes a RUN in a sandbox over the draft.
func (w *work) runIn(ctx context.Context, d *layers.Draft, s *dockerfile.Run) (err error) {
	if err := w.entitled(s); err != nil {
		return err
	}
	id, err := runtime.LookupUser(d.Lower().Follow, s.User)
	if err != nil {
		return err
	}
	runs, req := w.walker.runs, w.walker.req
	l := &leases{runs: runs, req: req, scratch: runs.scratch, events: w.walker.events, number: w.number}
	defer func() { err = errors.Join(err, l.release()) }()
	tools := &toolCaches{work: w, leases: l, user: id, lower: d.Lower(), private: d.Private()}
	cached, caches, err := tools.give(ctx, s)
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
	said := &toolLog{}
	secrets := passwords(req.Mirrors, s.ProxyEnv)
	out, errs := w.output(said, secrets, false), w.output(said, secrets, true)
	box := &runtime.Sandbox{
		Root: root, StateDir: d.Private(), Args: cached.Args, Env: slices.Concat(cached.Env, s.ProxyEnv, mirrorEnv(req.Mirrors, s), env),
		Dir: s.Dir, UID: id.UID, GID: id.GID, Groups: id.Groups, Mounts: append(list, caches...),
		Network: w.network(s.Network), Networks: &runs.networks, Hostname: s.Hostname, Hosts: req.Limits.Hosts, Insecure: s.Security == "insecure",
		ShmSize: req.Limits.ShmSize, Ulimits: req.Limits.Ulimits,
		Stdout: out, Stderr: errs,
		Notice: l.tell,
	}
	if box.Devices, err = w.devices(ctx, s, box.Env); err != nil {
		return err
	}
	w.packAhead(ctx, d, s)
	err = runs.exec(ctx, box)
	out.flush()
	errs.flush()
	w.sawCache = w.sawCache || l.taken
	tools.doubtFetched()
	if err == nil {
		tools.keepBodies()
	}
	err = explainExit(d, s, err, root, said)
	if ctx.Err() == nil {
		tools.report(said)
		err = tools.blame(err, said)
	}
	return err
}

// entitled refuses what only the command line may grant: a Dockerfile must not reach the host by itself.
func (w *work) entitled(s *dockerfile.Run) error {
	for _, need := range []struct {
		name   string
		wanted bool
	}{{"network.host", s.Network == "host" && w.walker.req.Limits.Network != "host"}, {"security.insecure", s.Security == "insecure"}} {
		if need.wanted && !w.walker.req.Allow[need.name] {
			return errEntitled(need.name)
		}
	}
	return nil
}

// devices finds those of the command line, and what --device of the step asks for. Of the step's, one that is not
// required and not there is left out, and that is said.
func (w *work) devices(ctx context.Context, s *dockerfile.Run, env []string) (all []runtime.Edits, err error) {
	given := w.walker.req.Limits.Devices
	if len(given) > 0 {
		if all, err = w.inject(ctx, given, env); err != nil {
			return nil, err
		}
	}
	for _, d := range s.Devices {
		if slices.Contains(given, d.Name) {
			continue
		}
		if !w.walker.req.Allow["device"] && !w.walker.req.Allow["device="+d.Name] {
			return nil, errEntitled("device=" + d.Name)
		}
		edits, err := w.inject(ctx, []string{d.Name}, env)
		switch {
		case err == nil:
			all = append(all, edits...)
		case d.Required:
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		default:
			w.walker.events.notice(w.number, fmt.Sprintf("device %s is left out: %v", d.Name, err))
		}
	}
	return all, nil
}

func (w *work) inject(ctx context.Context, names, env []string) ([]runtime.Edits, error) {
	if w.walker.runs.inject == nil {
		return nil, errors.New("this build knows no devices")
	}
	return w.walker.runs.inject(ctx, names, env)
}

// errEntitled refuses a RUN that asks for what the command line does not grant.
func errEntitled(name string) error {
	return hint.Errorf("if you trust this Dockerfile: --allow "+name, "the step asks for %s, which is not allowed", name)
}

func (w *work) network(name string) string {
	if name != "" {
		return name
	}
	return w.walker.req.Limits.Network
}

// logs is where the output of a RUN goes.
type logs struct{ mask }

// output reports what a RUN prints, without passwords, and shows it to said.
func (w *work) output(said *toolLog, secrets [][]byte, stderr bool) *logs {
	return &logs{mask{secrets: secrets, out: func(p []byte) {
		said.write(p, stderr)
		w.walker.events.report(Event{Type: Log, Step: w.number, Data: p, Stderr: stderr})
	}}}
}

func (l *logs) Write(p []byte) (int, error) {
	l.write(p)
	return len(p), nil
}
