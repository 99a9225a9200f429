package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	sandbox "github.com/gbuild/gbuild/pkg/runtime"
)

// input is what a build reads: the Dockerfile, the context and the named contexts, secrets and ssh agents.
type input struct {
	plan    *dockerfile.Plan
	context *files.Context
	named   map[string]string
	options files.ContextOptions

	secrets    map[string]build.Secret
	agents     map[string]build.Secret
	stopAgents func()
	stream     io.Closer                         // a context that is a pipe
	shared     map[cachePlace]*build.SharedCache // those of --cache-from and --cache-to
}

func (i *input) close() {
	if i.context != nil {
		i.context.Close()
	}
	if i.stream != nil {
		i.stream.Close()
	}
	if i.stopAgents != nil {
		i.stopAgents()
	}
}

// openNamed opens a --build-context that is no image. It has only a .dockerignore, whatever the Dockerfile is called,
// and what is said of the .git of the build context is not said of it.
func (i *input) openNamed(ctx context.Context, name string) (*files.Context, error) {
	spec, ok := i.named[name]
	if !ok {
		return nil, fmt.Errorf("no --build-context has this name")
	}
	if spec == "-" {
		return nil, usagef("--build-context %s=-: only the build context can be the standard input", name)
	}
	o := i.options
	o.Stdin, o.Dockerfile, o.KeepGit = nil, "-", false
	return files.OpenContext(ctx, spec, o)
}

func (a *app) openInput(ctx context.Context, o *buildOptions) (in *input, err error) {
	in = &input{}
	defer func() {
		if err != nil {
			in.close()
			in = nil
		}
	}()
	if o.context == stdinName || isStream(o.context) {
		a.streams.reserve(o.context, "the build context")
	}
	args, err := a.buildArgs(o, a.streams.reader(ctx))
	if err != nil {
		return in, err
	}
	if in.named, err = pairs("--build-context", o.contexts); err != nil {
		return in, err
	}
	options, err := a.planOptions(o, in.named, args)
	if err != nil {
		return in, err
	}
	if err := a.openContext(ctx, o, in, args); err != nil {
		return in, err
	}
	name, text, err := a.readDockerfile(ctx, o, in)
	if err != nil {
		return in, err
	}
	options.Ignore = in.context.IgnorePatterns()
	in.plan, err = dockerfile.Parse(name, text, options)
	return in, err
}

// openContext opens the build context, with the credentials that one far away may need.
func (a *app) openContext(ctx context.Context, o *buildOptions, in *input, args map[string]string) (err error) {
	if in.secrets, err = a.readSecrets(o.secrets, a.streams.reader(ctx)); err != nil {
		return err
	}
	if in.agents, in.stopAgents, err = a.sshAgents(o.ssh, a.streams.reader(ctx)); err != nil {
		return err
	}
	in.options = files.ContextOptions{Stdin: a.stdin, Dockerfile: o.dockerfile(), Environ: os.Environ(), Agent: in.agents["default"].Socket,
		LocalNetwork: o.allowed()["network.host"],
		Secret:       func(id string) ([]byte, bool) { s, ok := in.secrets[id]; return s.Data, ok }}
	in.options.KeepGit, _ = strconv.ParseBool(args["BUILDKIT_CONTEXT_KEEP_GIT_DIR"]) // as BuildKit: what is no boolean says nothing
	if in.options.StateDir, err = a.stateDir(); err != nil {
		return err
	}
	if in.options.MaxDownload, err = a.maxDownload(); err != nil {
		return err
	}
	in.options.Own = []string{in.options.StateDir}
	if caches, err := a.cachesDir(); err == nil {
		in.options.Own = append(in.options.Own, caches)
	}
	spec := o.context
	if isStream(spec) {
		err := outfile.Await(ctx, func() error {
			f, err := openStream(spec)
			in.options.Stdin, in.stream = f, f
			return err
		})
		if err != nil {
			return fmt.Errorf("opening build context: %w", err)
		}
		spec = stdinName
	}
	in.context, err = files.OpenContext(ctx, spec, in.options)
	return err
}

// dockerfile is what -f says, as the context is told: one that is a stream has no ignore file of its own.
func (o *buildOptions) dockerfile() string {
	if isStream(o.file) {
		return stdinName
	}
	return o.file
}

// readDockerfile reads the Dockerfile, which may be a stream that this process cannot read again.
func (a *app) readDockerfile(ctx context.Context, o *buildOptions, in *input) (name string, text []byte, err error) {
	if !isStream(o.file) && (o.file != stdinName || o.context == stdinName) {
		return in.context.Dockerfile(o.file)
	}
	if text, err = a.streams.read(ctx, o.file); err != nil {
		return "", nil, fmt.Errorf("reading Dockerfile: %w", err)
	}
	return "Dockerfile", text, nil
}

func (a *app) planOptions(o *buildOptions, named, args map[string]string) (dockerfile.Options, error) {
	p := dockerfile.Options{Target: o.target, Contexts: named, Args: args,
		BuildPlatform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	var err error
	if p.Labels, err = pairs("--label", o.labels); err != nil {
		return p, err
	}
	if p.Platform, err = parsePlatform(o.platform); err != nil {
		return p, err
	}
	if p.AutoCache, err = o.autoTools(); err != nil {
		return p, err
	}
	switch o.network {
	case "default", "private", "":
	case "host", "none":
		p.Network = o.network
	default:
		return p, usagef("--network %s: it is default, private, host or none", o.network)
	}
	return p, nil
}

// parsePlatform reads --platform; none, and local, is this machine's.
func parsePlatform(s string) (v1.Platform, error) {
	list := strings.Split(s, ",")
	if len(list) > 1 {
		return v1.Platform{}, usageError{hint.Errorf("build each platform on a machine of its kind: --platform "+list[0], "--platform %s: one build makes the image of one platform", s)}
	}
	if s == "" || s == "local" {
		return v1.Platform{}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, usagef("--platform %s: %w", s, err)
	}
	return *p, nil
}

// buildArgs reads --build-arg-file and --build-arg, which wins; a name without a value takes the environment's, and is
// left out where there is none.
func (a *app) buildArgs(o *buildOptions, read fileReader) (map[string]string, error) {
	args := map[string]string{}
	list, err := readArgFiles(o.argFiles, read)
	if err != nil {
		return nil, err
	}
	list = append(list, o.args...)
	if o.epoch != "" {
		list = append(list, "SOURCE_DATE_EPOCH="+o.epoch)
	}
	if epoch, ok := a.lookup("SOURCE_DATE_EPOCH"); ok && epoch != "" {
		args["SOURCE_DATE_EPOCH"] = epoch
	}
	for _, s := range list {
		name, value, given := strings.Cut(s, "=")
		if name == "" {
			return nil, usagef("--build-arg %q: it is NAME=VALUE", s)
		}
		if !given {
			if value, given = a.lookup(name); !given {
				continue
			}
		}
		args[name] = value
	}
	return args, a.addProxies(args)
}

// addProxies gives a build the proxies of Docker's config.json, but for those that the command line sets or empties in either case.
func (a *app) addProxies(args map[string]string) error {
	proxies, err := a.environ.dockerProxies()
	if err != nil {
		return err
	}
	for name := range args {
		delete(proxies, strings.ToUpper(name))
	}
	maps.Copy(args, proxies)
	return nil
}

// pairs reads NAME=VALUE flags.
func pairs(flag string, list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if name == "" || !ok && flag != "--label" {
			return nil, usagef("%s %q: it is NAME=VALUE", flag, s)
		}
		m[name] = value
	}
	return m, nil
}

// readSecrets reads the values now: a missing file is an error before anything runs.
func (a *app) readSecrets(list []string, read fileReader) (map[string]build.Secret, error) {
	secrets := map[string]build.Secret{}
	for _, s := range list {
		fields, err := csvFields(s)
		if err != nil {
			return nil, usagef("--secret: %w", err)
		}
		id, data, err := a.readSecret(fields, read)
		if err != nil {
			return nil, err
		}
		secrets[id] = build.Secret{Data: data}
	}
	return secrets, nil
}

func (a *app) readSecret(fields map[string]string, read fileReader) (string, []byte, error) {
	id, file, env := fields["id"], cmp.Or(fields["src"], fields["source"]), fields["env"]
	for k := range fields {
		switch k {
		case "id", "src", "source", "env", "type":
		default:
			return "", nil, usagef("--secret: unknown key %q; it is id=ID[,src=FILE|,env=NAME]", k)
		}
	}
	if t := fields["type"]; t != "" && t != "file" && t != "env" {
		return "", nil, usagef("--secret: type=%s: it is file or env", t)
	}
	if id == "" {
		return "", nil, usagef("--secret: id is missing; it is id=ID[,src=FILE|,env=NAME]")
	}
	if fields["type"] == "env" && env == "" {
		env = cmp.Or(file, id)
	}
	if file == "" && env == "" { // as buildx: a variable of that name, else a file
		if value, ok := a.lookup(id); ok && fields["type"] != "file" {
			return id, []byte(value), nil
		}
		file = id
	}
	if env != "" {
		value, ok := a.lookup(env)
		if !ok {
			return "", nil, hint.Errorf("export it before gbuild starts", "secret %s: the variable %s is not set", id, env)
		}
		return id, []byte(value), nil
	}
	data, err := read(file)
	if err != nil {
		return "", nil, fmt.Errorf("reading secret %s: %w", id, err)
	}
	return id, data, nil
}

func parseLimits(o *buildOptions) (l build.Limits, err error) {
	if o.shmSize != "" {
		if l.ShmSize, err = units.RAMInBytes(o.shmSize); err != nil {
			return l, usagef("--shm-size %s: %w", o.shmSize, err)
		}
	}
	l.Ulimits = o.ulimits
	l.Network = sandboxNetwork(o.network)
	for _, h := range o.addHosts {
		name, address, ok := strings.Cut(h, "=")
		if !ok {
			name, address, ok = strings.Cut(h, ":")
		}
		if address == "host-gateway" {
			address = hostGateway(o.network)
		}
		address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
		if !ok || name == "" || net.ParseIP(address) == nil {
			return l, usagef("--add-host %q: it is NAME:ADDRESS", h)
		}
		l.Hosts = append(l.Hosts, sandbox.HostEntry{Name: name, Addr: address})
	}
	return l, nil
}

// maxDownload is GBUILD_MAX_DOWNLOAD: how many bytes ADD and a context may fetch from one place. Zero is the default.
func (a *app) maxDownload() (int64, error) {
	text := a.env("GBUILD_MAX_DOWNLOAD")
	if text == "" {
		return 0, nil
	}
	n, err := units.FromHumanSize(text)
	if err != nil || n <= 0 {
		return 0, usagef("GBUILD_MAX_DOWNLOAD=%s: it is a size such as 500GB", text)
	}
	return n, nil
}
