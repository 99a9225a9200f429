package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/layers"
	sandbox "github.com/gbuild/gbuild/pkg/runtime"
)

// buildOptions are the flags of gbuild build.
type buildOptions struct {
	file, target, name, platform      string
	tags, args, labels, secrets, ssh  []string
	outputs, contexts, addHosts       []string
	noCacheFilter, ulimits, allow     []string
	network, progress, shmSize, call  string
	iidfile, metadataFile, digestFile string
	noCache, pull, push, quiet        bool
	insecure, check                   bool
	jobs                              int
	context                           string
}

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
  IMAGE_TAG=dev gbuild build .`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{hinted{fmt.Errorf("gbuild build takes one CONTEXT, not %d", len(args)), "for this directory: gbuild build ."}}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.context = args[0]
			return a.inNamespace(c.Context(), func(ctx context.Context, entered bool) error { return a.runBuild(ctx, o, entered) })
		},
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "the Dockerfile (default CONTEXT/Dockerfile; - for standard input)")
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "name of the image, NAME[:TAG]; a bare tag belongs to --name (repeatable)")
	f.StringVar(&o.name, "name", a.env("IMAGE_NAME"), "name that bare tags belong to (IMAGE_NAME)")
	f.StringArrayVar(&o.args, "build-arg", nil, "NAME=VALUE for an ARG; NAME alone takes the environment's value (repeatable)")
	f.StringVar(&o.target, "target", "", "stage to build (default: the last)")
	f.BoolVar(&o.noCache, "no-cache", truthy(a.env("NO_CACHE")), "run every step again; cache mounts are kept (NO_CACHE)")
	f.StringSliceVar(&o.noCacheFilter, "no-cache-filter", nil, "stages whose steps run again")
	f.BoolVar(&o.pull, "pull", false, "take base images from their registry even where a local image has the name")
	f.BoolVar(&o.push, "push", false, "push the image to the registries that its names say")
	f.StringArrayVarP(&o.outputs, "output", "o", nil, "type=oci|docker|tar|local|registry,dest=PATH (repeatable; DIR alone is local, - is tar)")
	f.StringArrayVar(&o.labels, "label", nil, "NAME=VALUE for the image's config (repeatable)")
	f.StringArrayVar(&o.secrets, "secret", nil, "id=ID[,src=FILE|,env=NAME]: for RUN --mount=type=secret (repeatable)")
	f.StringArrayVar(&o.ssh, "ssh", nil, "default|ID=SOCKET: an ssh agent for RUN --mount=type=ssh (repeatable)")
	f.StringVar(&o.network, "network", "default", "network of RUN: default (private), host or none")
	f.StringArrayVar(&o.addHosts, "add-host", nil, "NAME:ADDRESS for /etc/hosts of RUN (repeatable)")
	f.StringArrayVar(&o.ulimits, "ulimit", nil, "NAME=SOFT[:HARD] for RUN (repeatable)")
	f.StringVar(&o.shmSize, "shm-size", "", "size of /dev/shm in RUN, e.g. 2g")
	f.StringArrayVar(&o.allow, "allow", nil, "entitlement that the Dockerfile may use: network.host, security.insecure (repeatable)")
	f.StringArrayVar(&o.contexts, "build-context", nil, "NAME=DIR|URL|docker-image://REF|oci-layout://DIR (repeatable)")
	f.StringVar(&o.platform, "platform", "", "platform of the base images, e.g. linux/amd64")
	f.StringVar(&o.iidfile, "iidfile", "", "file to write the image id to")
	f.StringVar(&o.metadataFile, "metadata-file", "", "file to write what was built to, as JSON")
	f.StringVar(&o.digestFile, "digest-file", "", "file to write the manifest's digest to")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the image id only")
	f.StringVar(&o.progress, "progress", "auto", "auto, tty, plain, json or quiet")
	f.BoolVar(&o.insecure, "insecure", false, "speak plain http to registries, and accept unknown certificates")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "steps that run at once")
	f.BoolVar(&o.check, "check", false, "report what the lint rules find, and build nothing (--call=check)")
	f.StringVar(&o.call, "call", "build", "build, or only report: check, outline, targets; with ,format=json as JSON")
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
		return err
	}
	defer in.close()
	show, err := a.newDisplay(o, in, entered)
	if err != nil {
		return err
	}
	defer func() { show.end(err) }()
	if call.method != "build" {
		return a.answer(ctx, o, call, in, show)
	}
	return a.buildAndWrite(ctx, o, in, show, names, outputs, entered)
}

// readsOnce says whether the build consumes something that a second process could not read again, or surely needs the
// namespace to write its output.
func (a *app) readsOnce(o *buildOptions, outputs []output) bool {
	if o.context == "-" || o.file == "-" || strings.Contains(o.context, "://") || strings.HasPrefix(o.context, "git@") {
		return true
	}
	for _, out := range outputs {
		if out.kind == "local" || out.kind == "tar" {
			return true
		}
	}
	return false
}

func (a *app) buildAndWrite(ctx context.Context, o *buildOptions, in *input, show *display, names []string, outputs []output, entered bool) error {
	store, err := a.openStore()
	if err != nil {
		return err
	}
	defer store.Close()
	caches, err := a.openCaches()
	if err != nil {
		return err
	}
	f := &fetcher{app: a, store: store, options: a.imageOptions(o.insecure), pull: o.pull, notice: show.notice}
	b := &build.Builder{Store: store, Caches: caches, Jobs: o.jobs, Report: show.handle, Entered: entered, Fetch: f.fetch,
		Exec: func(ctx context.Context, s *sandbox.Sandbox) error { return s.Run(ctx) }}
	req, err := a.request(o, in)
	if err != nil {
		return err
	}
	req.NoLayers = onlyFiles(outputs)
	result, err := b.Build(ctx, req)
	if err != nil {
		return err
	}
	w := &writer{app: a, store: store, options: f.options, show: show, names: names, in: in}
	return w.write(ctx, o, result, outputs)
}

// request collects what the command line adds to the plan.
func (a *app) request(o *buildOptions, in *input) (*build.Request, error) {
	secrets, err := a.readSecrets(o.secrets)
	if err != nil {
		return nil, err
	}
	agents, err := a.sshAgents(o.ssh)
	if err != nil {
		return nil, err
	}
	limits, err := parseLimits(o)
	if err != nil {
		return nil, err
	}
	fresh, allow := map[string]bool{}, map[string]bool{"network.host": o.network == "host"}
	for _, name := range o.allow {
		allow[name] = true
	}
	for _, s := range o.noCacheFilter {
		fresh[strings.ToLower(s)] = true
	}
	return &build.Request{Plan: in.plan, Context: in.context, Named: in.openNamed, Secrets: secrets, Agents: agents, NoCache: o.noCache,
		Fresh: fresh, Limits: limits, Allow: allow, Environ: os.Environ(), Compress: layers.Compression{Algorithm: "gzip", Epoch: in.plan.Epoch}}, nil
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
		ref, err := registryRef(t)
		if err != nil {
			return nil, usageError{err}
		}
		names = append(names, ref.String())
	}
	return names, nil
}

// writer sends a result to its outputs.
type writer struct {
	app     *app
	store   *layers.Store
	options imageOptions
	show    *display
	names   []string
	in      *input
}

func (w *writer) write(ctx context.Context, o *buildOptions, r *build.Result, outputs []output) error {
	if r.Image != nil {
		for _, n := range w.names {
			if err := w.store.Tag(n, r.Image); err != nil {
				return fmt.Errorf("naming the image %s: %w", n, err)
			}
		}
	}
	for _, out := range outputs {
		if err := w.output(ctx, out, r); err != nil {
			return err
		}
	}
	return w.finish(o, r)
}

func (w *writer) finish(o *buildOptions, r *build.Result) error {
	if r.Image == nil {
		return nil
	}
	id, err := r.Image.ConfigName()
	if err != nil {
		return err
	}
	digest, err := r.Image.Digest()
	if err != nil {
		return err
	}
	w.show.handle(build.Event{Type: build.Finished, Result: map[string]any{"id": id.String(), "digest": digest.String(), "names": w.names}})
	if err := errors.Join(writeSmall(o.iidfile, id.String()), writeSmall(o.digestFile, digest.String())); err != nil {
		return err
	}
	if o.quiet {
		fmt.Fprintln(w.app.stdout, id)
	}
	return w.metadata(o.metadataFile, r.Image, digest, id)
}

// metadata writes the file that docker buildx users read digests from.
func (w *writer) metadata(path string, img v1.Image, digest, id v1.Hash) error {
	if path == "" {
		return nil
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return err
	}
	size, err := img.Size()
	if err != nil {
		return err
	}
	m := map[string]any{
		"containerimage.digest":        digest,
		"containerimage.config.digest": id,
		"containerimage.descriptor":    v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size},
	}
	if len(w.names) > 0 {
		m["image.name"] = strings.Join(w.names, ",")
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeSmall(path, string(text)+"\n")
}

func writeSmall(path, text string) error {
	if path == "" {
		return nil
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
