// This file owns the flags of gbuild build about what it reads: the Dockerfile with its arguments, the contexts, and the
// images that it begins with.

package main

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

// sourceFlags name what is read, with the argument of the command.
type sourceFlags struct {
	// The argument: a directory, an archive, a URL, or - for standard input.
	context string
	// The Dockerfile; empty is that of the context.
	file string
	// A stage; empty is the last.
	target string

	// The arguments win over those of the files.
	args, argFiles []string
	// It is one more argument, SOURCE_DATE_EPOCH.
	epoch  string
	labels []string
	// Further contexts, each with a name.
	contexts []string
	platform string

	// These two say how far what is known of base images is trusted, instead of asking their registries.
	pull    bool
	pullTTL time.Duration
}

// add has the flags of docker build, and those about how old an answer of a registry may be.
func (f *sourceFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.file, "file", "f", "", "the Dockerfile (default CONTEXT/Dockerfile, else Containerfile; - for standard input)")
	flags.Var((*cli.List)(&f.args), "build-arg", "NAME=VALUE for an ARG; NAME alone takes the environment's value (repeatable)")
	flags.Var((*cli.List)(&f.argFiles), "build-arg-file", "file with a --build-arg in each line (repeatable)")
	flags.StringVar(&f.target, "target", "", "stage to build (default: the last)")
	flags.Var((*cli.List)(&f.contexts), "build-context", "NAME=DIR|URL|docker-image://REF|oci-layout://DIR (repeatable)")
	flags.StringVar(&f.platform, "platform", "", "platform of the image and its bases, e.g. linux/amd64")
	flags.Var((*cli.List)(&f.labels), "label", "NAME=VALUE for the image's config (repeatable)")
	flags.StringVar(&f.epoch, "source-date-epoch", "", "time of the image and the newest of its files, in seconds since 1970; context, or a stage")
	flags.BoolVar(&f.pull, "pull", false, "take base images from their registry even where a local image has the name")
	flags.DurationVar(&f.pullTTL, "pull-ttl", 0, "for how long the answer of a registry, what a tag means, is good; e.g. 1h (default: it is asked in each build)")
}

// dockerfile is what -f says, as the context is told: one that is a stream has no ignore file of its own.
func (f *sourceFlags) dockerfile() string {
	if cli.IsStream(f.file) {
		return cli.StdinName
	}
	return f.file
}

// place names a Dockerfile and its context, for --explain.
func (f *sourceFlags) place() string {
	context := f.context
	if abs, err := filepath.Abs(context); err == nil && !strings.Contains(context, "://") {
		context = abs
	}
	return context + "\x00" + f.file + "\x00" + f.target
}

// finder finds base images, and keeps in the store what it learned of them.
func (f *sourceFlags) finder(a *cli.App, store *layers.Store, notice func(string)) *bases.Finder {
	return &bases.Finder{Store: store, Options: a.Registries.Options(), Pull: f.pull, TTL: f.pullTTL, Notice: notice}
}

// plan is what the parser of the Dockerfile is told by these flags.
func (f *sourceFlags) plan(args map[string]string) (p dockerfile.Options, err error) {
	p = dockerfile.Options{Target: f.target, Args: args, BuildPlatform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	if p.Contexts, err = cli.Pairs("--build-context", f.contexts); err != nil {
		return p, err
	}
	if p.Labels, err = cli.Pairs("--label", f.labels); err != nil {
		return p, err
	}
	p.Platform, err = parsePlatform(f.platform)
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
func (f *sourceFlags) buildArgs(environ cli.Environment, read cli.FileReader) (map[string]string, error) {
	args := map[string]string{}
	words, err := readArgFiles(f.argFiles, read)
	if err != nil {
		return nil, err
	}
	words = append(words, f.args...)
	if f.epoch != "" {
		words = append(words, "SOURCE_DATE_EPOCH="+f.epoch)
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
