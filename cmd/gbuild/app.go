// This file owns what every command has from its process: streams, environment, the store, the caches, and the way into a
// namespace. It knows no command.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// app is what the commands take from the process: main alone reads the environment, prints and exits. Only
// newRootCommand and main set its fields; a command reads them, but for what it hands on to the next process.
type app struct {
	environ        environment
	stdin          io.Reader
	stdout, stderr io.Writer // Text goes here: see progress.Writer.
	rawOut, rawErr *os.File  // What draws by itself goes here, and bytes that are not gbuild's: of a container, of an archive.
	flags          globalFlags
	command        []string // The words of the command, such as "cache", "push".
	handed         handed
	streams        streams
	registries     registries
}

// globalFlags are the flags that every command has.
type globalFlags struct {
	root, cacheDir string
	debug          bool
}

// newApp makes the value for a process that was given its command line by the user, or by another process of gbuild.
func newApp(environ environment, stdin io.Reader, given handed) *app {
	return &app{environ: environ, stdin: stdin, handed: given, streams: streams{stdin: stdin, said: given.Streams}, registries: registries{environ: environ}}
}

func (a *app) env(name string) string            { return a.environ.get(name) }
func (a *app) lookup(name string) (string, bool) { return a.environ(name) }

// stateDir is where snapshots, blobs and names are kept.
func (a *app) stateDir() (string, error) {
	if a.flags.root != "" {
		return filepath.Abs(a.flags.root)
	}
	if isRoot() && a.env("XDG_DATA_HOME") == "" {
		return "/var/lib/gbuild", nil
	}
	return a.environ.userDir("XDG_DATA_HOME", ".local/share")
}

// cachesDir is where cache mounts are kept; never below stateDir, so that a state can be dropped and caches stay.
func (a *app) cachesDir() (string, error) {
	if a.flags.cacheDir != "" {
		return filepath.Abs(a.flags.cacheDir)
	}
	if isRoot() && a.env("XDG_CACHE_HOME") == "" {
		return "/var/cache/gbuild", nil
	}
	return a.environ.userDir("XDG_CACHE_HOME", ".cache")
}

// isRoot says whether gbuild was started by the host's root. In its own namespace every user is uid 0.
func isRoot() bool {
	if runtime.Entered() {
		return runtime.OwnerOutside() == 0
	}
	return os.Geteuid() == 0
}

// openStore opens the store; notice is told what it leaves out of the layers that it unpacks.
func (a *app) openStore(notice func(string)) (*layers.Store, error) {
	dir, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	s, err := layers.Open(dir)
	if err != nil {
		return nil, err
	}
	s.Fetch, s.Notice = a.registries.layer, notice
	return s, nil
}

func (a *app) openCaches() (*pipcache.Caches, error) {
	dir, err := a.cachesDir()
	if err != nil {
		return nil, err
	}
	return pipcache.Open(dir)
}

// inNamespace runs f in a user and mount namespace of its own. Most processes have theirs since before main; another one
// runs this very command again in one. Where the host lets none be made, f goes on without, and outside says why.
func (a *app) inNamespace(ctx context.Context, f func(ctx context.Context, outside error) error) error {
	if runtime.Entered() {
		return f(ctx, nil)
	}
	outside := runtime.Refused()
	if outside == nil {
		err := a.enter(ctx)
		if missing := new(runtime.Missing); !errors.As(err, &missing) {
			return err
		}
		outside = err
	}
	return f(ctx, outside)
}

// mustEnter is for commands that touch files of subordinate ids.
func (a *app) mustEnter(ctx context.Context, f func(ctx context.Context) error) error {
	if !runtime.Entered() {
		return a.enter(ctx)
	}
	return f(ctx)
}

// inStore is mustEnter for commands that work on the store.
func (a *app) inStore(ctx context.Context, f func(context.Context, *layers.Store) error) error {
	return a.mustEnter(ctx, func(ctx context.Context) error {
		store, err := a.openStore(a.notice)
		if err != nil {
			return err
		}
		defer store.Close()
		return f(ctx, store)
	})
}

// enter runs this command again in a namespace and ends with its exit code.
func (a *app) enter(ctx context.Context) error {
	// The child gets the signals, too, and cleans up; ending this context would kill it in the midst of that.
	handed, err := a.handOn()
	if err != nil {
		return err
	}
	code, err := runtime.Enter(context.WithoutCancel(ctx), runtime.EnterOptions{Args: shownArgs(a.command...), Env: append(os.Environ(), handed)})
	if err != nil {
		return err
	}
	if code != 0 {
		return exitStatus(code)
	}
	return nil
}

// handOn prepares a process that goes on with this command, and returns what its environment must have.
func (a *app) handOn() (env string, err error) {
	h := a.handed
	h.Streams = a.streams.said
	return h.give()
}

func (a *app) notice(text string) { fmt.Fprintln(a.stderr, "gbuild:", text) }

// printError prints an error as the last thing that a command says.
func (a *app) printError(err error) {
	writeError(a.stderr, err)
	if a.flags.debug {
		writeChain(a.stderr, err)
	}
}
