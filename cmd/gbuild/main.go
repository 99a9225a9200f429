// Command gbuild builds container images from Dockerfiles without a daemon and without root, and runs them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/util/suggest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// version is set by the release build.
var version = ""

// The exit codes, a contract with scripts.
const (
	exitOK      = 0
	exitFailed  = 1 // a build or a run failed for a reason in its input
	exitUsage   = 2
	exitHost    = 64 // this host lacks something that gbuild needs
	exitSignals = 128
)

func main() {
	runtime.Init() // returns unless this process is the init of a sandbox, or on its way into a namespace
	build.InitGit()
	delayGC(os.Getenv("GOGC"))
	os.Exit(realMain(os.Args[1:]))
}

// delayGC spares a short run its first garbage collection, at 4 MiB, which costs more than all else that it does. From
// 16 MiB on, the collector keeps to its usual pace, or to that of GOGC.
func delayGC(wanted string) {
	if wanted != "" {
		return
	}
	usual := debug.SetGCPercent(400)
	goruntime.AddCleanup(new(*app), func(percent int) { debug.SetGCPercent(percent) }, usual)
}

func realMain(args []string) int {
	stdout, stderr := progress.NewWriter(os.Stdout), progress.NewWriter(os.Stderr)
	defer func() { _ = errors.Join(stdout.Close(), stderr.Close()) }() // who reads may have gone
	a := &app{env: os.Getenv, lookup: os.LookupEnv, stdin: os.Stdin, stdout: stdout, stderr: stderr, rawOut: os.Stdout, rawErr: os.Stderr}
	given, err := takeOver(args)
	if err != nil {
		return a.exitCode(err)
	}
	a.args, a.streams.said, a.told = given.Args, given.Streams, given.Told
	ctx, stop := interruptible()
	defer stop()
	root := newRootCommand(a)
	root.SetArgs(a.args)
	root.SetOut(a.stdout) // help, and its errors
	root.SetErr(a.stderr)
	err = root.ExecuteContext(ctx)
	var said exitStatus // by the child, which had the signal, too
	if err != nil && ctx.Err() != nil && !errors.As(err, &said) {
		err = context.Cause(ctx)
	}
	return a.exitCode(err)
}

// interrupted is the cause of a context that a signal cancelled.
type interrupted struct{ sig syscall.Signal }

func (i interrupted) Error() string { return "interrupted: " + i.sig.String() }

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP cancels; the second ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := (<-signals).(syscall.Signal)
		cancel(interrupted{sig})
		for first := time.Now(); time.Since(first) < time.Second; { // one Ctrl-C can arrive twice: by the terminal and from the parent
			sig = (<-signals).(syscall.Signal)
		}
		os.Exit(exitSignals + int(sig))
	}()
	return ctx, func() { cancel(nil) }
}

// app is what the commands take from the process: main alone reads the environment, prints and exits.
type app struct {
	env            func(string) string
	lookup         func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer // for text: see progress.Writer
	rawOut, rawErr *os.File  // for what draws by itself, and for bytes that are not gbuild's: of a container, of an archive
	rootDir        string    // --root
	cacheDir       string    // --cache-dir
	debug          bool
	args           []string // of the command line, without the program
	words          []string // of the command: cache push
	streams        streams
	told           told              // by the process before this one, or to the one after it
	insecure       bool              // --insecure of the command
	connections    image.Connections // of all that this process says to registries

	registryMirrors []string                          // --registry-mirror
	shared          map[cachePlace]*build.SharedCache // those of --cache-from and --cache-to
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "gbuild",
		Short: "Build and run container images without a daemon and without root",
		Long: `gbuild builds any Dockerfile without a daemon and without root, keeps pip's (and any other) cache between builds,
writes the image to a registry, an OCI layout or a tarball, and launches it with NVIDIA GPUs.`,
		Example: `  gbuild build -t my-agent .
  gbuild build -t registry.example/team/my-agent:v1 --push .
  gbuild run --rm my-agent python3 train.py`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) (err error) {
			a.words = strings.Fields(c.CommandPath())[1:]
			a.registryMirrors, err = registryHosts(a.registryMirrors)
			return err
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.rootDir, "root", a.env("GBUILD_ROOT"), "directory of gbuild's state (GBUILD_ROOT; default: /var/lib/gbuild for root, else the XDG data directory)")
	f.StringVar(&a.cacheDir, "cache-dir", a.env("GBUILD_CACHE_DIR"), "directory of cache mounts (GBUILD_CACHE_DIR; default: the XDG cache directory)")
	f.StringSliceVar(&a.registryMirrors, "registry-mirror", strings.Fields(a.env("GBUILD_REGISTRY_MIRROR")), "host to ask for images of Docker Hub first (repeatable; GBUILD_REGISTRY_MIRROR)")
	f.BoolVarP(&a.debug, "debug", "D", false, "print where an error came from")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{suggestFlag(c, err)} })
	root.AddCommand(newBuildCommand(a), newRunCommand(a), newImagesCommand(a), newPushCommand(a), newSaveCommand(a),
		newRmiCommand(a), newPsCommand(a), newLogsCommand(a), newStopCommand(a), newKillCommand(a), newRmCommand(a),
		newExecCommand(a), newVolumeCommand(a), newGPUCommand(a), newCacheCommand(a), newPruneCommand(a), newDoctorCommand(a), newVersionCommand(a))
	countArgs(root)
	return root
}

// countArgs makes a wrong number of arguments the usage error that it is, in every command below c.
func countArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		countArgs(sub)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with the next thing to do.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// exitStatus ends the process with a code and no message: what there was to say has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitCode prints the error and chooses the code.
func (a *app) exitCode(err error) int {
	var status exitStatus
	if err == nil {
		return exitOK
	}
	if errors.As(err, &status) {
		return int(status)
	}
	a.printError(err)
	var usage usageError
	var missing *runtime.Missing
	var stopped interrupted
	switch {
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.As(err, &missing):
		return exitHost
	case errors.As(err, &stopped):
		return exitSignals + int(stopped.sig)
	}
	return exitFailed
}

func (a *app) printError(err error) {
	var at *dockerfile.Error
	if errors.As(err, &at) {
		fmt.Fprint(a.stderr, at.Excerpt())
	}
	fmt.Fprintf(a.stderr, "gbuild: error: %s\n", indented(err.Error()))
	hint := hintOf(err)
	if hint == "" && errors.Is(err, syscall.ENOSPC) {
		hint = "free some space there (gbuild prune, gbuild cache rm), or name another disk with --root and --cache-dir"
	}
	if hint != "" {
		fmt.Fprintf(a.stderr, "gbuild: hint: %s\n", indented(hint))
	}
	if a.debug {
		for e := err; e != nil; e = errors.Unwrap(e) {
			fmt.Fprintf(a.stderr, "gbuild: debug: %T: %s\n", e, indented(e.Error()))
		}
	}
}

// indented sets the lines after the first apart, so that none of them, which a stranger may have written, passes for one
// that gbuild begins.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// hintOf finds the first hint among err and what it wraps.
func hintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
		return h.Hint()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return hintOf(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if h := hintOf(inner); h != "" {
				return h
			}
		}
	}
	return ""
}

// suggestFlag adds the flag that was probably meant.
func suggestFlag(c *cobra.Command, err error) error {
	_, name, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return hinted{err, c.CommandPath() + " --help lists the flags"}
	}
	var all []string
	c.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if match, ok := suggest.Search(name, all, true); ok {
		return hinted{err, "did you mean --" + match + "?"}
	}
	return hinted{err, c.CommandPath() + " --help lists the flags"}
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  gbuild version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "gbuild", versionString())
			return err
		},
	}
}

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
