// This file owns the order in which the parts of the options are read, the build is done, and what it made is written.

package building

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/output"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	sandbox "github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Result is what came of a build.
type Result struct {
	// Full names of the image, with host and tag.
	Names []string
	// Of the config, and of the manifest as it was written; empty where no output needs an image.
	ID, Digest v1.Hash
}

// Run does what the options say, and prints and writes what there is to say of it. The result is nil where this process has
// built nothing: where the call is only a report, and where another process of gbuild, in a namespace of its own, goes on with
// the command line. A report needs no namespace, so it is given in the user's own process.
func (o *Options) Run(ctx context.Context, a *cli.App) (r *Result, err error) {
	if call, err := o.Call.parse(); err != nil || call.method != "build" {
		return o.run(ctx, a, nil) // It only reads, or the command line is wrong.
	}
	want, err := o.Isolation.Parse(a.Environ)
	if err != nil {
		return nil, err
	}
	if !host.Entered() {
		sandbox.RaiseLimits(o.Steps.Ulimits)
	}
	err = a.InNamespace(ctx, want, func(ctx context.Context, outside error) (err error) {
		r, err = o.run(ctx, a, outside)
		return err
	})
	return r, err
}

// job is one build, as the options want it.
type job struct {
	app     *cli.App
	options *Options
	// Why this process is in no namespace of its own; nil where it is in one.
	outside error

	call   call
	out    outputs
	mounts travels
	// What the options say is in it from the start; the rest comes with the input.
	request *build.Request
	in      *input
	store   *layers.Store
	show    *cli.Display
}

// newJob reads all options, and nothing else.
func newJob(a *cli.App, o *Options, outside error) (j *job, err error) {
	j = &job{app: a, options: o, outside: outside, request: &build.Request{Explain: o.Explain, Place: o.Source.place()}}
	// A flag that gbuild refuses is named first, whatever else is wrong with the command line.
	if err := o.Docker.refuse(); err != nil {
		return nil, err
	}
	if err := o.Steps.fill(j.request, a.Environ); err != nil {
		return nil, err
	}
	if j.out, err = o.Outputs.parse(); err != nil {
		return nil, err
	}
	j.out.fill(j.request)
	if j.call, err = o.Call.parse(); err != nil {
		return nil, err
	}
	if err := o.Caches.fill(j.request, a.Environ, o.Source.Context); err != nil {
		return nil, err
	}
	if j.mounts, err = o.Caches.Mounts.parse(j.request.Scope); err != nil {
		return nil, err
	}
	return j, o.Caches.share(j.request, a)
}

// run is Run in the process that builds. Where outside says why this process is in no namespace, only what needs none can be done.
func (o *Options) run(ctx context.Context, a *cli.App, outside error) (*Result, error) {
	j, err := newJob(a, o, outside)
	if err != nil {
		return nil, err
	}
	// Contexts and Dockerfile are opened before there is a display, so an error in them is printed without one.
	if j.in, err = openInput(ctx, a, &o.Source, &o.Steps.Credentials, j.request); err != nil {
		j.call.printFoundBefore(a, err)
		return nil, err
	}
	defer j.in.close()
	j.show = cli.NewDisplay(a, j.out.progress)
	defer j.show.Close()
	j.show.SetSource(j.in.plan)
	r, err := j.do(ctx)
	if needs := (*build.NamespaceError)(nil); errors.As(err, &needs) && outside != nil {
		return nil, fmt.Errorf("%w: %w", needs, outside)
	}
	if errors.Is(err, build.ErrNeedsNamespace) && outside != nil {
		return nil, outside
	}
	return r, err
}

// do answers the call, or builds.
func (j *job) do(ctx context.Context) (r *Result, err error) {
	// Notices about the command line come first, and also where the call is only a report.
	for _, text := range slices.Concat(j.options.Notices, j.options.Docker.notices(), j.options.Caches.notices()) {
		j.show.Notice(text)
	}
	if j.call.method != "build" {
		return nil, j.call.answer(ctx, j.app, j.in, j.show.Notice)
	}
	if err := j.out.mayPush(ctx, j.app); err != nil {
		return nil, err
	}
	// The time is a part of the keys of COPY and WORKDIR, so it must be known before the first step is keyed.
	if err := j.in.setEpoch(ctx); err != nil {
		return nil, err
	}
	store, err := j.app.OpenStore(j.show.Notice)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	j.store = store
	want, err := j.options.Isolation.Parse(j.app.Environ)
	if err != nil {
		return nil, err
	}
	isolation, err := j.prepare(want, store)
	if err != nil {
		return nil, err
	}
	caches, err := j.app.OpenCaches()
	if err != nil {
		return nil, err
	}
	if err := j.options.Steps.Devices.fill(ctx, j.request, j.app.Environ); err != nil {
		return nil, err
	}
	j.in.fill(j.request)
	f := j.options.Source.finder(j.app, store, j.show.Notice)
	exec, weak := j.runs(want, host.JournalIn(store.Dir(), isolation))
	b := &build.Builder{Store: store, Caches: caches, Jobs: j.options.Jobs, Report: j.show.Handle, Entered: j.outside == nil, Fetch: f.Find,
		Exec: exec, Weak: weak,
		Serial: isolation.IsDirect(), Memory: memoryIn(isolation),
		Inject: j.options.Steps.Devices.injector(j.app.Environ, j.show.Notice)}
	w := j.out.writer(j.app, store, j.show)
	w.Platform = j.in.plan.Platform()
	// Outputs that can begin early do so here: layers leave for a registry while later steps run.
	if err := w.Prepare(ctx, j.out.list); err != nil {
		return nil, err
	}
	// w is closed before the store: layers that are still being sent are read from it.
	defer w.Close()
	return j.buildAndWrite(ctx, b, w)
}

// runs returns what runs the command of a RUN, and what says whether its files may get wrong owners. At the first RUN it is decided
// how that is done here, and said where it could be better.
func (j *job) runs(want host.Isolation, journal string) (exec func(context.Context, *sandbox.Sandbox) error, weak func() bool) {
	mode := sync.OnceValues(func() (host.Mode, error) {
		m, err := j.app.Mode(want)
		if said := m.String(); err == nil && said != "" {
			j.show.Notice(said)
		}
		return m, err
	})
	exec = func(ctx context.Context, s *sandbox.Sandbox) error {
		m, err := mode()
		if err != nil {
			return err
		}
		s.Isolation, s.Journal = m.Isolation, journal
		return s.Run(ctx)
	}
	weak = func() bool {
		if want == host.Auto && !rootfs.Marked() {
			return false // who has all ids need not look
		}
		m, err := mode()
		return err == nil && (m.Isolation == host.Fake || m.Isolation == host.Ptrace)
	}
	return exec, weak
}

// buildAndWrite builds and writes the result, again without shared caches where one of them turns out to be broken. Cache
// mounts of other machines come before the first step, and leave after the last.
func (j *job) buildAndWrite(ctx context.Context, b *build.Builder, w *output.Writer) (r *Result, err error) {
	if j.outside == nil {
		j.mounts.take(ctx, j.app, j.show.Notice)
	}
	// This ends after the second round at the latest: without CacheFrom no CacheError comes back.
	for {
		result, err := b.Build(ctx, j.request)
		if err == nil {
			r, err = j.write(ctx, w, result)
		}
		// A build that ran nothing has brought nothing into the cache mounts, so there is nothing new to send.
		if err == nil && j.outside == nil && result.Steps > 0 {
			j.mounts.give(ctx, j.app, j.show.Notice)
		}
		var broken *sharedcache.Error
		if !errors.As(err, &broken) {
			return r, err
		}
		j.show.Notice(broken.Error() + "; the build is done without --cache-from")
		j.request.CacheFrom = nil
	}
}

// write writes the outputs, and what is said of them. They may lie where the files of a stage were.
func (j *job) write(ctx context.Context, w *output.Writer, result *build.Result) (*Result, error) {
	if err := j.store.LeavePlace(); err != nil {
		return nil, err
	}
	img, err := w.Write(ctx, result, j.out.list)
	if err != nil {
		return nil, err
	}
	return j.out.report(ctx, j.app, img, j.show.Handle)
}
