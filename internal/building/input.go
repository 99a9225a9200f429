// This file owns what a build reads, once it is open: the Dockerfile as a plan, the contexts, and the credentials that
// reading them takes.

package building

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
)

// input is what a build reads.
type input struct {
	source  *Source
	plan    *dockerfile.Plan
	context *files.Context
	// --build-context.
	named       map[string]string
	options     files.ContextOptions
	credentials credentials
	// A context that is a pipe.
	stream io.Closer
}

// close ends what was opened, in whatever state opening it failed.
func (i *input) close() {
	if i.context != nil {
		i.context.Close()
	}
	if i.stream != nil {
		i.stream.Close()
	}
	i.credentials.close()
}

// openNamed opens a --build-context that is no image. It has only a .dockerignore, whatever the Dockerfile is called,
// and what is said of the .git of the build context is not said of it.
func (i *input) openNamed(ctx context.Context, name string) (*files.Context, error) {
	spec, ok := i.named[name]
	if !ok {
		return nil, fmt.Errorf("no --build-context has this name")
	}
	if spec == "-" {
		return nil, cli.Usagef("--build-context %s=-: only the build context can be the standard input", name)
	}
	o := i.options
	o.Stdin, o.Dockerfile, o.Subdir, o.KeepGit = nil, "-", "", false
	return files.OpenContext(ctx, spec, o)
}

// setEpoch gives the plan the time of a context or a stage where SOURCE_DATE_EPOCH names one.
func (i *input) setEpoch(ctx context.Context) error {
	if i.plan.EpochSource == nil {
		return nil
	}
	epoch, err := files.Epoch(ctx, i.plan.EpochSource, i.context, i.openNamed, i.options)
	if err == nil {
		i.plan.SetEpoch(epoch)
	}
	return err
}

// fill puts into the request what was read.
func (i *input) fill(req *build.Request) {
	req.Plan, req.Context, req.Named, req.EveryStage = i.plan, i.context, i.openNamed, i.source.EveryStage
	req.Secrets, req.Agents = i.credentials.secrets, i.credentials.agents
	req.Environ, req.MaxDownload = i.options.Environ, i.options.MaxDownload
}

// openInput opens what the options name, with what is lent for that. The request says with what the Dockerfile is parsed.
// The order matters. Streams are reserved before anybody reads one, credentials are opened before a context that may need
// them, and the Dockerfile comes last, since it may lie in the context.
func openInput(ctx context.Context, a *cli.App, source *Source, lent *Credentials, req *build.Request) (in *input, err error) {
	in = &input{source: source}
	defer func() {
		if err != nil {
			in.close()
			in = nil
		}
	}()
	if spec := source.Context; spec == cli.StdinName || cli.IsStream(spec) {
		a.Streams.Reserve(spec, "the build context")
	}
	read := a.Streams.Reader(ctx)
	args, err := source.buildArgs(a.Environ, read)
	if err != nil {
		return in, err
	}
	options, err := source.plan(args)
	if err != nil {
		return in, err
	}
	in.named, options.AutoCache = options.Contexts, req.AutoCache
	if options.Network, err = planNetwork(req.Limits.Network); err != nil {
		return in, err
	}
	if in.credentials, err = lent.open(a.Environ, read); err != nil {
		return in, err
	}
	if in.options, err = contextOptions(a, args); err != nil {
		return in, err
	}
	in.options.LocalNetwork = req.Allow[cli.HostNetwork]
	if err := in.openContext(ctx); err != nil {
		return in, err
	}
	name, text, err := in.readDockerfile(ctx, read)
	if err != nil {
		return in, err
	}
	// The parser has them for its lint only: it warns of a COPY whose source the ignore file hides.
	options.Ignore = in.context.IgnorePatterns()
	in.plan, err = dockerfile.Parse(name, text, options)
	return in, err
}

// contextOptions are those that do not depend on the context.
func contextOptions(a *cli.App, args map[string]string) (o files.ContextOptions, err error) {
	o = files.ContextOptions{Stdin: a.Stdin, Environ: os.Environ()}
	o.KeepGit, _ = strconv.ParseBool(args["BUILDKIT_CONTEXT_KEEP_GIT_DIR"]) // as BuildKit: what is no boolean says nothing
	if o.StateDir, err = a.StateDir(); err != nil {
		return o, err
	}
	if o.MaxDownload, err = maxDownload(a.Environ); err != nil {
		return o, err
	}
	// The state directory may lie inside of the context (--root=.). No COPY takes it, or each build would change its own input.
	o.Own = []string{o.StateDir}
	if caches, err := a.CachesDir(); err == nil {
		o.Own = append(o.Own, caches)
	}
	return o, nil
}

// openContext opens the build context, which may be a pipe, or far away and take credentials.
func (i *input) openContext(ctx context.Context) (err error) {
	i.options.Dockerfile, i.options.Subdir = i.source.dockerfile(), i.source.Subdir
	i.options.Agent, i.options.Secret = i.credentials.agents["default"].Socket, i.credentials.secret
	spec := i.source.Context
	if cli.IsStream(spec) {
		err := outfile.Await(ctx, func() error {
			f, err := cli.OpenStream(spec)
			i.options.Stdin, i.stream = f, f
			return err
		})
		if err != nil {
			return fmt.Errorf("opening build context: %w", err)
		}
		spec = cli.StdinName
	}
	i.context, err = files.OpenContext(ctx, spec, i.options)
	return err
}

// readDockerfile reads the Dockerfile, which may be a stream that this process cannot read again.
func (i *input) readDockerfile(ctx context.Context, read cli.FileReader) (name string, text []byte, err error) {
	file := i.source.File
	if IsAddress(file) {
		text, err = i.options.FetchDockerfile(ctx, file)
		return "Dockerfile", text, err
	}
	if !cli.IsStream(file) && !i.source.FileHere && (file != cli.StdinName || i.source.Context == cli.StdinName) {
		return i.context.Dockerfile(file)
	}
	if text, err = read(file); err != nil {
		return "", nil, fmt.Errorf("reading Dockerfile: %w", err)
	}
	return "Dockerfile", text, nil
}

// maxDownload is GBUILD_MAX_DOWNLOAD: how many bytes ADD and a context may fetch from one place. Zero is the default.
func maxDownload(environ cli.Environment) (int64, error) {
	text := environ.Get("GBUILD_MAX_DOWNLOAD")
	if text == "" {
		return 0, nil
	}
	n, err := units.FromHumanSize(text)
	if err != nil || n <= 0 {
		return 0, cli.Usagef("GBUILD_MAX_DOWNLOAD=%s: it is a size such as 500GB", text)
	}
	return n, nil
}
