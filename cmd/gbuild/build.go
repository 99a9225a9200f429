// This file owns gbuild build: the order in which the parts of its command line are read, the build is done, and what it
// made is written. Each part has a file of its own, with its flags and what they mean.

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/output"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	sandbox "github.com/gbuild/gbuild/pkg/runtime"
)

// buildFlags are the flags of gbuild build, by what they are about.
type buildFlags struct {
	source  sourceFlags
	caches  cacheFlags
	steps   stepFlags
	outputs outputFlags
	call    callFlags
	docker  dockerFlags
	// These are no room's: they are about the build as a whole.
	explain   bool
	jobs      int
	isolation cli.IsolationFlag
}

// newBuildCommand makes the command. A call that only reports needs no namespace, so it is answered in the user's own process.
func newBuildCommand(a *cli.App) *cobra.Command {
	f := &buildFlags{}
	c := &cobra.Command{
		Use:   "build [flags] CONTEXT",
		Short: "Build an image from a Dockerfile",
		Long: `Build an image from a Dockerfile. CONTEXT is a directory, a tarball, a git or http URL, or - for standard input
(a tar, or a Dockerfile by itself). Nothing has to run as root, and no daemon is needed.

EXIT STATUS: 0; 1 the build failed; 2 the command line is wrong; 64 this host lacks something; 130 interrupted.`,
		Example: `  gbuild build -t my-agent .
  gbuild build --name my-agent --tag v1.0 .
  gbuild build -t registry.example/me/app:v1 --push .
  gbuild build -o type=docker,dest=app.tar -t app .
  gbuild build --layers=per-step -t app .
  IMAGE_TAG=dev gbuild build .`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(hint.Errorf("for this directory: gbuild build .", "gbuild build takes one CONTEXT, not %d", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f.source.context = args[0]
			if call, err := f.call.parse(); err != nil || call.method != "build" {
				return runBuild(c.Context(), a, f, nil) // It only reads, or the command line is wrong.
			}
			want, err := f.isolation.Parse(a.Environ)
			if err != nil {
				return err
			}
			return a.InNamespace(c.Context(), want, func(ctx context.Context, outside error) error { return runBuild(ctx, a, f, outside) })
		},
	}
	f.add(c.Flags(), a)
	return c
}

// add registers the flags of all rooms. The help sorts them by name.
func (f *buildFlags) add(flags *pflag.FlagSet, a *cli.App) {
	f.source.add(flags)
	f.caches.add(flags, a.Environ)
	f.steps.add(flags)
	f.outputs.add(flags, a.Environ)
	f.call.add(flags)
	f.docker.add(flags)
	a.Registries.AddInsecure(flags)
	f.isolation.Add(flags)
	flags.BoolVar(&f.explain, "explain", false, "say for each step why it runs, or why it need not")
	flags.IntVar(&f.jobs, "jobs", runtime.NumCPU(), "steps that run at once")
}

// job is one build, as the command line wants it.
type job struct {
	app   *cli.App
	flags *buildFlags
	// Why this process is in no namespace of its own; nil where it is in one.
	outside error

	call   call
	out    outputs
	mounts travels
	// What the flags say is in it from the start; the rest comes with the input.
	request *build.Request
	in      *input
	show    *cli.Display
}

// newJob reads the whole command line, and nothing else.
func newJob(a *cli.App, f *buildFlags, outside error) (j *job, err error) {
	j = &job{app: a, flags: f, outside: outside, request: &build.Request{Explain: f.explain, Place: f.source.place()}}
	// A flag that gbuild refuses is named first, whatever else is wrong with the command line.
	if err := f.docker.refuse(); err != nil {
		return nil, err
	}
	if err := f.steps.fill(j.request, a.Environ); err != nil {
		return nil, err
	}
	if j.out, err = f.outputs.parse(a.Environ); err != nil {
		return nil, err
	}
	j.out.fill(j.request)
	if j.call, err = f.call.parse(); err != nil {
		return nil, err
	}
	if err := f.caches.fill(j.request, a.Environ, f.source.context); err != nil {
		return nil, err
	}
	if j.mounts, err = f.caches.mounts.parse(j.request.Scope); err != nil {
		return nil, err
	}
	return j, f.caches.share(j.request, a)
}

// runBuild builds. Where outside says why this process is in no namespace, only what needs none can be done.
func runBuild(ctx context.Context, a *cli.App, f *buildFlags, outside error) error {
	j, err := newJob(a, f, outside)
	if err != nil {
		return err
	}
	// Contexts and Dockerfile are opened before there is a display, so an error in them is printed without one.
	if j.in, err = openInput(ctx, a, inputFlags{&f.source, &f.steps.credentials}, j.request); err != nil {
		j.call.printFoundBefore(a, err)
		return err
	}
	defer j.in.close()
	j.show = cli.NewDisplay(a, j.out.progress)
	defer j.show.Close()
	j.show.SetSource(j.in.plan)
	err = j.do(ctx)
	if needs := (*build.NamespaceError)(nil); errors.As(err, &needs) && outside != nil {
		return fmt.Errorf("%w: %w", needs, outside)
	}
	if errors.Is(err, build.ErrNeedsNamespace) && outside != nil {
		return outside
	}
	return err
}

// do answers the call, or builds.
func (j *job) do(ctx context.Context) error {
	// Notices about the command line come first, and also where the call is only a report.
	for _, text := range append(j.flags.docker.notices(), j.flags.caches.notices()...) {
		j.show.Notice(text)
	}
	if j.call.method != "build" {
		return j.call.answer(ctx, j.app, j.in, j.show.Notice)
	}
	// The time is a part of the keys of COPY and WORKDIR, so it must be known before the first step is keyed.
	if err := j.in.setEpoch(ctx); err != nil {
		return err
	}
	store, err := j.app.OpenStore(j.show.Notice)
	if err != nil {
		return err
	}
	defer store.Close()
	want, err := j.flags.isolation.Parse(j.app.Environ)
	if err != nil {
		return err
	}
	store.Copies = want == sandbox.Ptrace
	caches, err := j.app.OpenCaches()
	if err != nil {
		return err
	}
	if err := j.flags.steps.devices.fill(ctx, j.request, j.app.Environ); err != nil {
		return err
	}
	j.in.fill(j.request)
	f := j.flags.source.finder(j.app, store, j.show.Notice)
	exec, weak := j.runs(want)
	b := &build.Builder{Store: store, Caches: caches, Jobs: j.flags.jobs, Report: j.show.Handle, Entered: j.outside == nil, Fetch: f.Find,
		Exec: exec, Weak: weak,
		Inject: j.flags.steps.devices.injector(j.app.Environ, j.show.Notice)}
	w := j.out.writer(j.app, store, j.show)
	w.Platform = j.in.plan.Platform()
	// Outputs that can begin early do so here: layers leave for a registry while later steps run.
	if err := w.Prepare(ctx, j.out.list); err != nil {
		return err
	}
	// w is closed before the store: layers that are still being sent are read from it.
	defer w.Close()
	return j.buildAndWrite(ctx, b, w)
}

// runs returns what runs the command of a RUN, and what says whether its files may get wrong owners. At the first RUN it is decided
// how that is done here, and said where it could be better.
func (j *job) runs(want sandbox.Isolation) (exec func(context.Context, *sandbox.Sandbox) error, weak func() bool) {
	mode := sync.OnceValues(func() (sandbox.Mode, error) {
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
		s.Isolation = m.Isolation
		return s.Run(ctx)
	}
	weak = func() bool {
		if want == sandbox.Auto && !rootfs.Marked() {
			return false // who has all ids need not look
		}
		m, err := mode()
		return err == nil && (m.Isolation == sandbox.Fake || m.Isolation == sandbox.Ptrace)
	}
	return exec, weak
}

// buildAndWrite builds and writes the result, again without shared caches where one of them turns out to be broken. Cache
// mounts of other machines come before the first step, and leave after the last.
func (j *job) buildAndWrite(ctx context.Context, b *build.Builder, w *output.Writer) error {
	if j.outside == nil {
		j.mounts.take(ctx, j.app, j.show.Notice)
	}
	// This ends after the second round at the latest: without CacheFrom no CacheError comes back.
	for {
		result, err := b.Build(ctx, j.request)
		if err == nil {
			err = j.write(ctx, w, result)
		}
		// A build that ran nothing has brought nothing into the cache mounts, so there is nothing new to send.
		if err == nil && j.outside == nil && result.Steps > 0 {
			j.mounts.give(ctx, j.app, j.show.Notice)
		}
		var broken *build.CacheError
		if !errors.As(err, &broken) {
			return err
		}
		j.show.Notice(broken.Error() + "; the build is done without --cache-from")
		j.request.CacheFrom = nil
	}
}

// write writes the outputs, and what is said of them.
func (j *job) write(ctx context.Context, w *output.Writer, result *build.Result) error {
	img, err := w.Write(ctx, result, j.out.list)
	if err != nil {
		return err
	}
	return j.out.report(ctx, j.app, img, j.show.Handle)
}
