// Package buildah is the command line of buildah bud. Most of its flags are those of docker build, which a build has anyway;
// this package has the others: what they mean as options of a build, which of them have no effect, and which are refused, each
// with the way to do the same. Nothing is built here.
package buildah

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// ExitFailed is buildah's exit code for all but a RUN that fails, whose own code it has.
const ExitFailed = 125

// Line is a command line of buildah bud.
type Line struct {
	options *building.Options
	flags   *pflag.FlagSet

	layers, squash, skipUnused, tlsVerify bool
	pull, format, isolation, authFile     string
	os, arch, variant, timestamp          string
	files                                 cli.List
	cacheTTL                              time.Duration
}

// New is a command line without flags.
func New() *Line {
	return &Line{options: building.New(), skipUnused: true, tlsVerify: true}
}

// Flags registers buildah's flags, and of those of gbuild build all that buildah has no other meaning for.
func (l *Line) Flags(flags *pflag.FlagSet, a *cli.App) {
	l.flags = flags
	flags.VarP(&l.files, "file", "f", "the Dockerfile, a path or an http(s) URL (default CONTEXT/Containerfile, else Dockerfile; - for standard input)")
	flags.BoolVar(&l.layers, "layers", cli.Truthy(a.Env("BUILDAH_LAYERS")), "taken for buildah's sake: steps are stored anyway; --no-cache runs them again (BUILDAH_LAYERS)")
	flags.BoolVar(&l.squash, "squash", false, "all that the Dockerfile adds to its base is one layer")
	flags.StringVar(&l.format, "format", cmp.Or(a.Env("BUILDAH_FORMAT"), "oci"), "media types of the manifest: oci or docker (BUILDAH_FORMAT)")
	flags.StringVar(&l.isolation, "isolation", a.Env("BUILDAH_ISOLATION"), "oci, rootless and chroot are the best that there is here, or one of gbuild build's (BUILDAH_ISOLATION)")
	flags.StringVar(&l.pull, "pull", "missing", "true, newer and always ask the registry even where a local image has the name; missing and false do not")
	flags.Lookup("pull").NoOptDefVal = "true"
	flags.StringVar(&l.authFile, "authfile", "", "the file with logins, instead of those of Docker and podman")
	flags.BoolVar(&l.tlsVerify, "tls-verify", true, "false: speak plain http to registries where they do, and accept any certificate")
	flags.StringVar(&l.os, "os", "", "operating system of the image")
	flags.StringVar(&l.arch, "arch", "", "architecture of the image")
	flags.StringVar(&l.variant, "variant", "", "variant of the architecture")
	flags.StringVar(&l.timestamp, "timestamp", "", "time of the image and the newest of its files, in seconds since 1970")
	flags.DurationVar(&l.cacheTTL, "cache-ttl", 0, "a RUN whose result is older than this runs again")
	flags.BoolVar(&l.skipUnused, "skip-unused-stages", true, "false: build the stages before the target, too, that it does not need")
	for _, name := range idle {
		addSilent(flags, name, "")
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		addSilent(flags, name, map[string]string{"volume": "v"}[name])
	}
	own := pflag.NewFlagSet("build", pflag.ContinueOnError)
	l.options.Flags(own, a)
	own.VisitAll(func(f *pflag.Flag) {
		if flags.Lookup(f.Name) == nil {
			flags.AddFlag(f)
		}
	})
}

// addSilent adds a flag that the help does not list.
func addSilent(flags *pflag.FlagSet, name, short string) {
	f := flags.VarPF(new(cli.List), name, short, "")
	f.Hidden = true
	if switches[name] {
		f.NoOptDefVal = "true"
	}
}

// idle flags are about how buildah works, and change nothing here.
var idle = []string{"storage-driver", "storage-opt", "runroot", "registries-conf", "registries-conf-dir", "log-level", "runtime", "runtime-flag", "retry", "retry-delay",
	"identity-label", "hooks-dir", "logsplit", "disable-compression", "http-proxy", "stdin", "userns", "userns-uid-map", "userns-gid-map", "userns-uid-map-user",
	"userns-gid-map-group", "cgroupns", "ipc", "pid", "uts", "save-stages"}

// switches are those of the silent flags that take no value.
var switches = map[string]bool{"identity-label": true, "logsplit": true, "disable-compression": true, "http-proxy": true, "stdin": true, "save-stages": true,
	"no-hosts": true, "omit-history": true, "all-platforms": true, "squash-all": true}

// refused flags ask for what would be missing silently; beside each is what to do instead.
var refused = map[string]string{
	"volume":         "show a directory to a RUN that asks for it: --build-context NAME=DIR and RUN --mount=type=bind,from=NAME; a cache is RUN --mount=type=cache",
	"creds":          "each registry would be told them; put them into a file of logins: --authfile FILE",
	"cert-dir":       "put the certificates into HOST[:PORT] below /etc/containers/certs.d or ~/.config/containers/certs.d",
	"from":           "write FROM ${BASE} after ARG BASE, and give --build-arg BASE=NAME",
	"manifest":       "push each platform by a name of its own, and join them by a tool for manifests",
	"all-platforms":  "build each platform on a machine of its kind",
	"env":            "write ENV into the Dockerfile",
	"unsetenv":       "leave ENV out of the Dockerfile",
	"ignorefile":     "call the file as the Dockerfile is called, with .dockerignore behind it",
	"logfile":        "write the output of the command to the file: 2>FILE",
	"omit-history":   "the history has no secret: values of secrets are not in it",
	"squash-all":     "--squash makes one layer over the base",
	"cap-add":        "a RUN may have more by RUN --security=insecure and --allow security.insecure",
	"cap-drop":       "drop it in the command of the RUN",
	"group-add":      "make groups in the Dockerfile; your own are kept without a flag where a device is open to them only",
	"dns":            "change /etc/resolv.conf of this machine, or name hosts with --add-host",
	"dns-option":     "change /etc/resolv.conf of this machine",
	"dns-search":     "change /etc/resolv.conf of this machine",
	"no-hosts":       "name hosts with --add-host",
	"sign-by":        "sign the image when it is pushed, by the tool that you sign with",
	"decryption-key": "decrypt the base by the tool that it was encrypted with",
	"os-version":     "give --platform",
	"os-feature":     "give --platform",
}

// Run does what the line says with a context, which is the working directory where none is named.
func (l *Line) Run(ctx context.Context, a *cli.App, args []string) error {
	if err := l.refuse(args); err != nil {
		return err
	}
	o := l.options
	if o.Source.Context = "."; len(args) == 1 {
		o.Source.Context = args[0]
	}
	if err := l.fill(a); err != nil {
		return err
	}
	_, err := o.Run(ctx, a)
	return err
}

// refuse says no to what cannot be had.
func (l *Line) refuse(args []string) error {
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if f := l.flags.Lookup(name); f.Changed && f.Value.String() != "false" {
			return cli.Usage(hint.Errorf(refused[name], "--%s: gbuild bud does not have it", name))
		}
	}
	switch {
	case len(args) > 1:
		return cli.Usagef("gbuild bud takes one CONTEXT, not %d", len(args))
	case len(l.files) > 1:
		return cli.Usage(hint.Errorf("write them into one file", "-f is given %d times: a build has one Dockerfile", len(l.files)))
	}
	return nil
}

// fill says what buildah's own flags mean for a build.
func (l *Line) fill(a *cli.App) error {
	o := l.options
	o.Source.File = l.file()
	o.Source.EveryStage, o.Caches.MaxAge = !l.skipUnused, l.cacheTTL
	if l.timestamp != "" {
		o.Source.Epoch = l.timestamp
	}
	if l.squash {
		o.Outputs.Layers = "squash"
	}
	if l.flags.Changed("os") || l.flags.Changed("arch") || l.flags.Changed("variant") {
		o.Source.Platform = strings.TrimSuffix(cmp.Or(l.os, "linux")+"/"+cmp.Or(l.arch, runtime.GOARCH)+"/"+l.variant, "/")
	}
	switch l.format {
	case "oci":
	case "docker":
		o.Outputs.Outputs = append(o.Outputs.Outputs, "type=image,oci-mediatypes=false")
	default:
		return cli.OneOf("--format", l.format, "oci", "docker")
	}
	switch strings.ToLower(l.pull) {
	case "true", "always", "newer", "ifnewer":
		o.Source.Pull = true
	case "false", "missing", "ifmissing":
	case "never":
		return cli.Usage(hint.Errorf("give --pull-ttl: for so long no registry is asked again", "--pull=never: a base that is not here has to come from somewhere"))
	default:
		return cli.OneOf("--pull", l.pull, "true", "false", "always", "newer", "missing")
	}
	switch l.isolation {
	case "", "oci", "rootless", "chroot":
	default:
		o.Isolation.Name = l.isolation
	}
	a.Registries.Insecure, a.Registries.OnlyAuthFile = a.Registries.Insecure || !l.tlsVerify, l.authFile
	o.Notices = l.notices()
	return nil
}

// file is the Dockerfile: buildah's own name for it comes before Docker's.
func (l *Line) file() string {
	if len(l.files) == 1 {
		return l.files[0]
	}
	if path := filepath.Join(l.options.Source.Context, "Containerfile"); isFile(path) {
		return path
	}
	return ""
}

// isFile says whether there is a file.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// notices name the flags that were given and have no effect.
func (l *Line) notices() []string {
	var given []string
	for _, name := range idle {
		if l.flags.Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if l.flags.Changed("layers") && !l.layers {
		given = append(given, "--layers="+strconv.FormatBool(l.layers))
	}
	if len(given) == 0 {
		return nil
	}
	return []string{strings.Join(given, ", ") + ": accepted for buildah's sake, without effect"}
}
