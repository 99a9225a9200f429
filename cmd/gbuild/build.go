package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	sandbox "github.com/gbuild/gbuild/pkg/runtime"
)

func newBuildCommand(a *app) *cobra.Command {
	o := &buildOptions{}
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
				return usageError{hint.Errorf("for this directory: gbuild build .", "gbuild build takes one CONTEXT, not %d", len(args))}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.context = args[0]
			return a.inNamespace(c.Context(), func(ctx context.Context, entered bool) error { return a.runBuild(ctx, o, entered) })
		},
	}
	a.addBuildFlags(c.Flags(), o)
	addForeignFlags(c, o)
	return c
}

func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// runBuild builds once: in the user's own process what needs no namespace, in the namespace everything.
func (a *app) runBuild(ctx context.Context, o *buildOptions, entered bool) (err error) {
	if err := o.refuse(); err != nil {
		return err
	}
	if o.network, err = a.acceptedNetwork(o.network, o.allowed()["network.host"]); err != nil {
		return err
	}
	names, err := a.imageNames(o)
	if err != nil {
		return err
	}
	outputs, err := parseOutputs(o, names)
	if err != nil {
		return err
	}
	call, err := parseCall(o)
	if err != nil {
		return err
	}
	if !entered && call.method == "build" && a.readsOnce(o, outputs) {
		return build.ErrNeedsNamespace
	}
	in, err := a.openInput(ctx, o)
	if err != nil {
		a.printFoundBefore(call, err)
		return err
	}
	defer in.close()
	show, err := a.newDisplay(o, in, entered)
	if err != nil {
		return err
	}
	defer func() {
		a.handed.Broken = nil // While not all was shown, that a cache failed was not said: the process that goes on finds it out, too.
		if show.end(err) {
			a.handed.Broken = brokenCaches(in.shared)
		}
		a.handed.Told = show.told
	}()
	for _, text := range o.notices() {
		show.notice(text)
	}
	if call.method != "build" {
		return a.answer(ctx, o, call, in, show)
	}
	return a.buildAndWrite(ctx, o, in, show, names, outputs, entered)
}

// readsOnce says whether the build consumes something that a second process could not read again, or surely needs the
// namespace to write its output.
func (a *app) readsOnce(o *buildOptions, outputs []output) bool {
	if o.context == stdinName || isStream(o.context) || strings.Contains(o.context, "://") || strings.HasPrefix(o.context, "git@") {
		return true
	}
	for _, out := range outputs {
		if out.kind == "local" || out.kind == "tar" {
			return true
		}
	}
	return false
}

// buildAndWrite builds, and writes the outputs.
func (a *app) buildAndWrite(ctx context.Context, o *buildOptions, in *input, show *display, names []string, outputs []output, entered bool) error {
	annotations, err := parseAnnotations(o.annotations)
	if err != nil {
		return err
	}
	if src := in.plan.EpochSource; src != nil {
		epoch, err := files.Epoch(ctx, src, in.context, in.openNamed, in.options)
		if err != nil {
			return err
		}
		in.plan.SetEpoch(epoch)
	}
	store, err := a.openStore(show.notice)
	if err != nil {
		return err
	}
	defer store.Close()
	caches, err := a.openCaches()
	if err != nil {
		return err
	}
	f := &bases.Finder{Store: store, Options: a.registries.options(), Pull: o.pull, TTL: o.pullTTL, Notice: show.notice}
	b := a.builder(o, store, caches, show, f, entered)
	req, err := a.request(ctx, o, in)
	if err != nil {
		return err
	}
	req.NoLayers, req.Files = onlyFiles(outputs), readsFiles(outputs)
	if req.Compress, err = compressionOf(o, outputs); err != nil {
		return err
	}
	if req.Layering, err = build.ParseLayering(o.layers); err != nil {
		return usageError{fmt.Errorf("--layers: %w", err)}
	}
	if err := a.shareCaches(o, in, req); err != nil {
		return err
	}
	w := &writer{app: a, store: store, options: f.Options, show: show, names: names, platform: req.Plan.Platform(),
		annotations: annotations}
	if err := w.sendAhead(ctx, outputs); err != nil {
		return err
	}
	defer w.ahead.close()
	return w.buildWith(ctx, b, req, o, outputs)
}

// buildWith builds and writes the result, again without shared caches where one of them turns out to be broken. Cache
// mounts of other machines come before the first step, and leave after the last.
func (w *writer) buildWith(ctx context.Context, b *build.Builder, req *build.Request, o *buildOptions, outputs []output) error {
	if b.Entered {
		takeMounts(ctx, w.app, o, w.show)
	}
	for {
		result, err := b.Build(ctx, req)
		if err == nil {
			err = w.write(ctx, o, result, outputs)
		}
		if err == nil && b.Entered && result.Steps > 0 {
			giveMounts(ctx, w.app, o, w.show)
		}
		var broken *build.CacheError
		if !errors.As(err, &broken) {
			return err
		}
		w.show.notice(broken.Error() + "; the build is done without --cache-from")
		req.CacheFrom = nil
	}
}

func (a *app) builder(o *buildOptions, store *layers.Store, caches *pipcache.Caches, show *display, f *bases.Finder, entered bool) *build.Builder {
	return &build.Builder{Store: store, Caches: caches, Jobs: o.jobs, Report: show.handle, Entered: entered, Fetch: f.Find,
		Exec:   func(ctx context.Context, s *sandbox.Sandbox) error { return s.Run(ctx) },
		Inject: a.buildDevices(o, show.notice)}
}

// request collects what the command line adds to the plan.
func (a *app) request(ctx context.Context, o *buildOptions, in *input) (*build.Request, error) {
	limits, err := parseLimits(o)
	if err != nil {
		return nil, err
	}
	if limits.Devices, err = a.deviceNames(ctx, o); err != nil {
		return nil, err
	}
	fresh := map[string]bool{}
	for _, s := range o.noCacheFilter {
		fresh[strings.ToLower(s)] = true
	}
	req := &build.Request{Plan: in.plan, Explain: o.explain, Place: placeOf(o), Context: in.context, Named: in.openNamed, Secrets: in.secrets, Agents: in.agents,
		NoCache: o.noCache, Fresh: fresh, Limits: limits, Allow: o.allowed(), Environ: in.options.Environ, MaxDownload: in.options.MaxDownload,
		NoCacheMounts: o.noCacheMounts, Scope: scopeOf(a, o.cacheScope, o.context)}
	for _, name := range o.scopesBelow {
		req.ScopesBelow = append(req.ScopesBelow, scope.Named(name))
	}
	return req, a.addCaches(o, req)
}

// imageNames are the full names of the image: every -t, and --name with the bare tags or IMAGE_TAG.
func (a *app) imageNames(o *buildOptions) ([]string, error) {
	tags := o.tags
	if tag := a.env("IMAGE_TAG"); len(tags) == 0 && tag != "" {
		if o.name == "" {
			return nil, usagef("IMAGE_TAG is set, but neither IMAGE_NAME nor --name")
		}
		tags = []string{tag}
	}
	if o.name != "" && len(tags) == 0 {
		tags = []string{"latest"}
	}
	var names []string
	for _, t := range tags {
		if o.name != "" && !strings.ContainsAny(t, ":/") {
			t = o.name + ":" + t
		}
		ref, err := image.ParseName(t)
		if err != nil {
			return nil, usageError{err}
		}
		names = append(names, ref.String())
	}
	return names, nil
}

// placeOf names a Dockerfile and its context, for --explain.
func placeOf(o *buildOptions) string {
	context := o.context
	if abs, err := filepath.Abs(context); err == nil && !strings.Contains(context, "://") {
		context = abs
	}
	return context + "\x00" + o.file + "\x00" + o.target
}
