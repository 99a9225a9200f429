// This file owns the process: its streams and signals, the list of the commands, and the exit code.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/progress"
	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// version is set by the release build.
var version = ""

// main is also the init of a sandbox, and what git starts to make its connections. In such a process the first two calls do
// not return.
func main() {
	runtime.Init() // returns unless this process is the init of a sandbox, or on its way into a namespace
	remote.InitGit()
	delayGC(os.Getenv("GOGC"))
	os.Exit(realMain(calledAs(os.Args)))
}

// calledAs are the arguments of the command that the program's own name asks for: a program called executor is kaniko's.
func calledAs(words []string) []string {
	if filepath.Base(words[0]) == "executor" {
		return append([]string{"kaniko"}, words[1:]...)
	}
	return words[1:]
}

// delayGC spares a short run its first garbage collection, at 4 MiB, which costs more than all else that it does. From
// 16 MiB on, the collector keeps to its usual pace, or to that of GOGC.
func delayGC(wanted string) {
	if wanted != "" {
		return
	}
	usual := debug.SetGCPercent(400)
	goruntime.AddCleanup(new(*cli.App), func(percent int) { debug.SetGCPercent(percent) }, usual)
}

// realMain is main with an exit code, so that deferred calls are done before the process ends.
func realMain(args []string) int {
	stdout, stderr := progress.NewWriter(os.Stdout), progress.NewWriter(os.Stderr)
	defer func() { _ = errors.Join(stdout.Close(), stderr.Close()) }() // the reader may have gone
	given, err := cli.TakeOver(args)
	a := cli.New(os.LookupEnv, os.Stdin, given)
	a.Registries.Version = versionString()
	a.Stdout, a.Stderr, a.RawOut, a.RawErr = stdout, stderr, os.Stdout, os.Stderr
	if err == nil {
		err = execute(a)
	}
	var said cli.ExitStatus
	// An ExitStatus has been explained already, or needs no word: it is the code of the user's own command.
	if err != nil && !errors.As(err, &said) {
		a.PrintError(err)
	}
	return cli.ExitCode(err)
}

// execute runs the command that the arguments name.
func execute(a *cli.App) error {
	ctx, stop := interruptible()
	defer stop()
	root := newRootCommand(a)
	root.SetArgs(a.Handed.Args)
	root.SetOut(a.Stdout) // help, and its errors
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	var said cli.ExitStatus // the child had the signal, too, and says its status
	// What a signal has cut short fails in a hundred ways. The signal is the reason, so that is what is said.
	if err != nil && ctx.Err() != nil && !errors.As(err, &said) {
		return context.Cause(ctx)
	}
	return err
}

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP cancels; the second ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		sig := (<-signals).(syscall.Signal)
		cancel(cli.Interrupted(sig))
		for first := time.Now(); time.Since(first) < time.Second; { // one Ctrl-C can arrive twice: by the terminal and from the parent
			sig = (<-signals).(syscall.Signal)
		}
		os.Exit(cli.ExitSignals + int(sig))
	}()
	return ctx, func() { cancel(nil) }
}

// newRootCommand lists the commands, each of which its own file makes.
func newRootCommand(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:   "gbuild",
		Short: "Build and run container images without a daemon and without root",
		Long: `gbuild builds any Dockerfile without a daemon and without root, keeps pip's (and any other) cache between builds,
writes the image to a registry, an OCI layout or a tarball, and launches it with NVIDIA GPUs.`,
		Example: `  gbuild build -t my-agent .
  gbuild build -t registry.example/team/my-agent:v1 --push .
  gbuild run --rm my-agent python3 train.py`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.Command = strings.Fields(c.CommandPath())[1:]
			return a.Registries.SetMirrors()
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.Flags.Root, "root", a.Env("GBUILD_ROOT"), "directory of gbuild's state (GBUILD_ROOT; default: /var/lib/gbuild for root, else the XDG data directory)")
	f.StringVar(&a.Flags.CacheDir, "cache-dir", a.Env("GBUILD_CACHE_DIR"), "directory of cache mounts (GBUILD_CACHE_DIR; default: the XDG cache directory)")
	f.StringSliceVar(&a.Registries.MirrorFlags, "registry-mirror", strings.Fields(a.Env("GBUILD_REGISTRY_MIRROR")), "host to ask for images of Docker Hub first (repeatable; GBUILD_REGISTRY_MIRROR)")
	f.BoolVarP(&a.Flags.Debug, "debug", "D", false, "print where an error came from")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return cli.Usage(cli.SuggestFlag(c, err)) })
	root.AddCommand(newBuildCommand(a), newKanikoCommand(a), newBudCommand(a), newRunCommand(a), newImagesCommand(a), newPushCommand(a), newSaveCommand(a),
		newRmiCommand(a), newPsCommand(a), newLogsCommand(a), newStopCommand(a), newKillCommand(a), newRmCommand(a), newStartCommand(a), newRestartCommand(a), newWaitCommand(a), newAttachCommand(a), newRenameCommand(a),
		newInspectCommand(a, ""), newPortCommand(a), newTopCommand(a), newCpCommand(a), newContainerCommand(a), newGenerateCommand(a),
		newExecCommand(a), newVolumeCommand(a), newGPUCommand(a), newCacheCommand(a), newPruneCommand(a), newDoctorCommand(a), newSetupCommand(a), newVersionCommand(a))
	countArgs(root)
	return root
}

// countArgs makes a wrong number of arguments the usage error that it is, in every command below c.
func countArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return cli.Usage(err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		countArgs(sub)
	}
}

// newVersionCommand is here because it has nothing of its own.
func newVersionCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  gbuild version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.Stdout, "gbuild", versionString())
			return err
		},
	}
}

// versionString is that of the release, or what the Go tool knows of the module.
func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
