package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runIn executes a RUN in a sandbox over the draft.
func (w *work) runIn(ctx context.Context, d *layers.Draft, s *dockerfile.Run) (err error) {
	if err := w.entitled(s); err != nil {
		return err
	}
	id, err := runtime.LookupUser(d.Lower().Follow, s.User)
	if err != nil {
		return err
	}
	m := &mounts{work: w, user: id, lower: d.Lower(), private: d.Private()}
	defer func() { err = errors.Join(err, m.release()) }()
	cached, caches, err := m.autoCaches(ctx, s)
	if err != nil {
		return err
	}
	list, env, err := m.prepare(ctx, cached)
	if err != nil {
		return err
	}
	root, err := d.Mount(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	said := &toolLog{}
	secrets := passwords(w.req.Mirrors, s.ProxyEnv)
	out, errs := w.output(said, secrets, false), w.output(said, secrets, true)
	box := &runtime.Sandbox{
		Root: root, StateDir: d.Private(), Args: cached.Args, Env: slices.Concat(cached.Env, s.ProxyEnv, w.mirrorEnv(s), env),
		Dir: s.Dir, UID: id.UID, GID: id.GID, Groups: id.Groups, Mounts: append(list, caches...),
		Network: w.network(s.Network), Networks: &w.networks, Hostname: s.Hostname, Hosts: w.req.Limits.Hosts, Insecure: s.Security == "insecure",
		ShmSize: w.req.Limits.ShmSize, Ulimits: w.req.Limits.Ulimits,
		Stdout: out, Stderr: errs,
		Notice: func(text string) { w.report(Event{Type: Notice, Step: w.number, Text: text}) },
	}
	if box.Devices, err = w.devices(ctx, s, box.Env); err != nil {
		return err
	}
	w.packAhead(ctx, d, s)
	err = w.Exec(ctx, box)
	out.flush()
	errs.flush()
	m.doubtFetched()
	if err == nil {
		m.keepBodies()
	}
	err = explainExit(d, s, err, root, said)
	if ctx.Err() == nil {
		m.reportCaches(said)
		err = m.blameCache(err, said)
	}
	return err
}

// entitled refuses what only the command line may grant: a Dockerfile must not reach the host by itself.
func (w *work) entitled(s *dockerfile.Run) error {
	for _, need := range []struct {
		name   string
		wanted bool
	}{{"network.host", s.Network == "host" && w.req.Limits.Network != "host"}, {"security.insecure", s.Security == "insecure"}} {
		if need.wanted && !w.req.Allow[need.name] {
			return errEntitled(need.name)
		}
	}
	return nil
}

// devices finds those of the command line, and what --device of the step asks for. Of the step's, one that is not
// required and not there is left out, and that is said.
func (w *work) devices(ctx context.Context, s *dockerfile.Run, env []string) (all []runtime.Edits, err error) {
	given := w.req.Limits.Devices
	if len(given) > 0 {
		if all, err = w.inject(ctx, given, env); err != nil {
			return nil, err
		}
	}
	for _, d := range s.Devices {
		if slices.Contains(given, d.Name) {
			continue
		}
		if !w.req.Allow["device"] && !w.req.Allow["device="+d.Name] {
			return nil, errEntitled("device=" + d.Name)
		}
		edits, err := w.inject(ctx, []string{d.Name}, env)
		switch {
		case err == nil:
			all = append(all, edits...)
		case d.Required:
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		default:
			w.report(Event{Type: Notice, Step: w.number, Text: fmt.Sprintf("device %s is left out: %v", d.Name, err)})
		}
	}
	return all, nil
}

func (w *work) inject(ctx context.Context, names, env []string) ([]runtime.Edits, error) {
	if w.Inject == nil {
		return nil, errors.New("this build knows no devices")
	}
	return w.Inject(ctx, names, env)
}

// errEntitled refuses a RUN that asks for what the command line does not grant.
func errEntitled(name string) error {
	return hint.Errorf("if you trust this Dockerfile: --allow "+name, "the step asks for %s, which is not allowed", name)
}

func (w *work) network(name string) string {
	if name != "" {
		return name
	}
	return w.req.Limits.Network
}

// logs is where the output of a RUN goes.
type logs struct{ mask }

// output reports what a RUN prints, without passwords, and shows it to said.
func (w *work) output(said *toolLog, secrets [][]byte, stderr bool) *logs {
	return &logs{mask{secrets: secrets, out: func(p []byte) {
		said.write(p, stderr)
		w.report(Event{Type: Log, Step: w.number, Data: p, Stderr: stderr})
	}}}
}

func (l *logs) Write(p []byte) (int, error) {
	l.write(p)
	return len(p), nil
}
