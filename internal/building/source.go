// This file owns the options about what a build reads: the Dockerfile with its arguments, the contexts, and the
// images that it begins with.

package building

import (
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
)

// Source names what is read.
type Source struct {
	// A directory, an archive, a URL, or - for standard input.
	Context string
	// The directory of the context that is meant, where it is not all of it.
	Subdir string
	// The Dockerfile, by a path or by the URL of a file; empty is that of the context.
	File string
	// File is a path of this machine, wherever the context is.
	FileHere bool
	// A stage; empty is the last.
	Target string
	// The stages before it are built, too, whether it needs them or not.
	EveryStage bool

	// NAME=VALUE, or NAME for the environment's value. The arguments win over those of the files, which have one in each line.
	Args, ArgFiles []string
	// It is one more argument, SOURCE_DATE_EPOCH.
	Epoch  string
	Labels []string
	// Further contexts, each with a name.
	Contexts []string
	Platform string

	// These two say how far what is known of base images is trusted, instead of asking their registries.
	Pull    bool
	PullTTL time.Duration
}

// Flags has the flags of docker build, and those about how old an answer of a registry may be.
func (f *Source) Flags(flags *pflag.FlagSet) {
	flags.StringVarP(&f.File, "file", "f", "", "the Dockerfile (default CONTEXT/Dockerfile, else Containerfile; - for standard input)")
	flags.Var((*cli.List)(&f.Args), "build-arg", "NAME=VALUE for an ARG; NAME alone takes the environment's value (repeatable)")
	flags.Var((*cli.List)(&f.ArgFiles), "build-arg-file", "file with a --build-arg in each line (repeatable)")
	flags.StringVar(&f.Target, "target", "", "stage to build (default: the last)")
	flags.Var((*cli.List)(&f.Contexts), "build-context", "NAME=DIR|URL|docker-image://REF|oci-layout://DIR (repeatable)")
	flags.StringVar(&f.Platform, "platform", "", "platform of the image and its bases, e.g. linux/amd64")
	flags.Var((*cli.List)(&f.Labels), "label", "NAME=VALUE for the image's config (repeatable)")
	flags.StringVar(&f.Epoch, "source-date-epoch", "", "time of the image and the newest of its files, in seconds since 1970; context, or a stage")
	flags.BoolVar(&f.Pull, "pull", false, "take base images from their registry even where a local image has the name")
	flags.DurationVar(&f.PullTTL, "pull-ttl", 0, "for how long the answer of a registry, what a tag means, is good; e.g. 1h (default: it is asked in each build)")
}

// IsAddress says whether a Dockerfile is named by its URL.
func IsAddress(file string) bool {
	return strings.HasPrefix(file, "http://") || strings.HasPrefix(file, "https://")
}

// dockerfile is what -f says, as the context is told: one that is a stream, or elsewhere, has no ignore file of its own.
func (f *Source) dockerfile() string {
	streamed := f.Context == cli.StdinName || cli.IsStream(f.Context) // it has no ignore file at all, and the stream is its own
	switch elsewhere := IsAddress(f.File) || f.FileHere; {
	case elsewhere && streamed:
		return ""
	case elsewhere || cli.IsStream(f.File):
		return cli.StdinName
	}
	return f.File
}

// place names a Dockerfile and its context, for --explain.
func (f *Source) place() string {
	context := f.Context
	if abs, err := filepath.Abs(context); err == nil && !strings.Contains(context, "://") {
		context = abs
	}
	return context + "\x00" + f.File + "\x00" + f.Target
}

// finder finds base images, and keeps in the store what it learned of them.
func (f *Source) finder(a *cli.App, store *layers.Store, notice func(string)) *bases.Finder {
	return &bases.Finder{Store: store, Options: a.Registries.Options(), Pull: f.Pull, TTL: f.PullTTL, Notice: notice}
}

// plan is what the parser of the Dockerfile is told by these flags.
func (f *Source) plan(args map[string]string) (p dockerfile.Options, err error) {
	p = dockerfile.Options{Target: f.Target, Args: args, BuildPlatform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	if p.Contexts, err = cli.Pairs("--build-context", f.Contexts); err != nil {
		return p, err
	}
	if p.Labels, err = cli.Pairs("--label", f.Labels); err != nil {
		return p, err
	}
	p.Platform, err = parsePlatform(f.Platform)
	return p, err
}

// parsePlatform reads --platform; none, and local, is this machine's.
func parsePlatform(s string) (v1.Platform, error) {
	words := strings.Split(s, ",")
	if len(words) > 1 {
		return v1.Platform{}, cli.Usage(hint.Errorf("build each platform on a machine of its kind: --platform "+words[0],
			"--platform %s: one build makes the image of one platform", s))
	}
	if s == "" || s == "local" {
		return v1.Platform{}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, cli.Usagef("--platform %s: %w", s, err)
	}
	return *p, nil
}

// buildArgs reads --build-arg-file and --build-arg, which wins; a name without a value takes the environment's, and is
// left out where there is none. The proxies of Docker's config.json are among them.
func (f *Source) buildArgs(environ cli.Environment, read cli.FileReader) (map[string]string, error) {
	args := map[string]string{}
	words, err := readArgFiles(f.ArgFiles, read)
	if err != nil {
		return nil, err
	}
	words = append(words, f.Args...)
	if f.Epoch != "" {
		words = append(words, "SOURCE_DATE_EPOCH="+f.Epoch)
	}
	if epoch := environ.Get("SOURCE_DATE_EPOCH"); epoch != "" {
		args["SOURCE_DATE_EPOCH"] = epoch
	}
	for _, s := range words {
		name, value, given := strings.Cut(s, "=")
		if name == "" {
			return nil, cli.Usagef("--build-arg %q: it is NAME=VALUE", s)
		}
		if !given {
			if value, given = environ(name); !given {
				continue
			}
		}
		args[name] = value
	}
	return args, addProxies(args, environ)
}

// addProxies gives a build the proxies of Docker's config.json, but for those that the command line sets or empties in
// either case.
func addProxies(args map[string]string, environ cli.Environment) error {
	proxies, err := environ.DockerProxies()
	if err != nil {
		return err
	}
	for name := range args {
		delete(proxies, strings.ToUpper(name))
	}
	maps.Copy(args, proxies)
	return nil
}

// readArgFiles returns the lines of --build-arg-file as --build-arg has them; # begins a comment line.
func readArgFiles(files []string, read cli.FileReader) (words []string, err error) {
	for _, name := range files {
		text, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("reading --build-arg-file: %w", err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if strings.HasPrefix(line, "=") {
				return nil, cli.Usagef("%s:%d: %q: it is NAME=VALUE", name, n, line)
			}
			words = append(words, line)
		}
	}
	return words, nil
}
