// This file owns what every command has from its process: streams, environment, the store, the caches, and the way into a
// namespace. It knows no command.

package cli

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
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// App is what the commands take from the process. Only main sets its fields; a command reads them, but for what it hands
// on to the next process.
type App struct {
	Environ        Environment
	Stdin          io.Reader
	Stdout, Stderr io.Writer // Text goes here: see progress.Writer.
	RawOut, RawErr *os.File  // Programs that draw by themselves write here; so do containers and archives, whose bytes are not gbuild's.
	Flags          GlobalFlags
	Command        []string // The words of the command, such as "cache", "push".
	Handed         Handed
	Streams        Streams
	Registries     Registries
}

// GlobalFlags are the flags that every command has.
type GlobalFlags struct {
	Root, CacheDir string // Directories of the state and of cache mounts; empty ones are found by the environment.
	Debug          bool   // Errors are printed with all that they wrap.
}

// New makes the value for a process that was given its command line by the user, or by another process of gbuild.
func New(environ Environment, stdin io.Reader, given Handed) *App {
	return &App{Environ: environ, Stdin: stdin, Handed: given, Streams: Streams{stdin: stdin, said: given.Streams}, Registries: Registries{environ: environ}}
}

// Env is the value of a variable, or empty.
func (a *App) Env(name string) string { return a.Environ.Get(name) }

// Lookup is the value of a variable, and whether there is one.
func (a *App) Lookup(name string) (string, bool) { return a.Environ(name) }

// StateDir is where snapshots, blobs and names are kept.
func (a *App) StateDir() (string, error) {
	dir, _, err := a.stateDir()
	return dir, err
}

// stateDir says, too, whether that is instead of the usual place.
func (a *App) stateDir() (dir string, instead bool, err error) {
	if a.Flags.Root != "" {
		dir, err = filepath.Abs(a.Flags.Root)
		return dir, false, err
	}
	if dir := "/var/lib/gbuild"; userID() == 0 && a.Env("XDG_DATA_HOME") == "" && canMake(dir) {
		return dir, false, nil
	}
	return a.Environ.userDir("XDG_DATA_HOME", ".local/share", "state")
}

// CachesDir is where cache mounts are kept; never below StateDir, so that a state can be dropped and caches stay.
func (a *App) CachesDir() (string, error) {
	if a.Flags.CacheDir != "" {
		return filepath.Abs(a.Flags.CacheDir)
	}
	if dir := "/var/cache/gbuild"; userID() == 0 && a.Env("XDG_CACHE_HOME") == "" && canMake(dir) {
		return dir, nil
	}
	dir, _, err := a.Environ.userDir("XDG_CACHE_HOME", ".cache", "caches")
	return dir, err
}

// userID is who started gbuild. In its own namespace every user is uid 0.
func userID() int {
	if host.Entered() {
		return host.OwnerOutside()
	}
	return os.Geteuid()
}

// OpenStore opens the store; notice is told what it leaves out of the layers that it unpacks.
func (a *App) OpenStore(notice func(string)) (*layers.Store, error) {
	dir, instead, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	if instead {
		notice("HOME is not set, or cannot be written: the state is in " + dir + "; --root and --cache-dir (GBUILD_ROOT, GBUILD_CACHE_DIR) name other places")
	}
	if err := runtime.RecoverMounts(dir); err != nil {
		return nil, err
	}
	s, err := layers.Open(dir)
	if err != nil {
		return nil, err
	}
	s.Fetch, s.Notice = a.Registries.layer, notice
	return s, nil
}

// OpenCaches opens the cache mounts.
func (a *App) OpenCaches() (*pipcache.Caches, error) {
	dir, err := a.CachesDir()
	if err != nil {
		return nil, err
	}
	return pipcache.Open(dir)
}

// InNamespace runs f in a user and mount namespace of its own, such as the isolation needs. Most processes have theirs since
// before main; another one runs this very command again in one. Where the host lets none be made, or none is wanted, f goes on
// without, and outside says why.
func (a *App) InNamespace(ctx context.Context, want host.Isolation, f func(ctx context.Context, outside error) error) error {
	if want == host.NoRun || !want.Enters() && !host.Entered() {
		return f(ctx, host.CannotDo(want))
	}
	if host.Entered() {
		return f(ctx, nil)
	}
	err := a.enter(ctx, want)
	if missing := new(host.Missing); !errors.As(err, &missing) {
		return err
	}
	if want != host.Auto {
		return err
	}
	if a.Isolation(want).IsDirect() {
		return f(ctx, nil)
	}
	return f(ctx, host.CannotRun(err))
}

// Isolation is the one that is wanted, or where that is the best and no namespaces were entered, the best one without them.
func (a *App) Isolation(want host.Isolation) host.Isolation {
	if want != host.Auto || host.Entered() {
		return want
	}
	best, _ := host.WithoutNamespaces()
	return best
}

// MustEnter is for commands that touch files of subordinate ids. Root has no such files where it builds without namespaces.
func (a *App) MustEnter(ctx context.Context, f func(ctx context.Context) error) error {
	if host.Entered() {
		return f(ctx)
	}
	want, err := new(IsolationFlag).Parse(a.Environ)
	if err != nil {
		return err
	}
	if want.IsDirect() {
		return f(ctx)
	}
	if !want.Enters() {
		want = host.Auto
	}
	err = a.enter(ctx, want)
	if missing := new(host.Missing); !errors.As(err, &missing) || !a.Isolation(want).IsDirect() {
		return err
	}
	return f(ctx)
}

// InStore is MustEnter for commands that work on the store.
func (a *App) InStore(ctx context.Context, f func(context.Context, *layers.Store) error) error {
	return a.MustEnter(ctx, func(ctx context.Context) error {
		store, err := a.OpenStore(a.Notice)
		if err != nil {
			return err
		}
		defer store.Close()
		return f(ctx, store)
	})
}

// enter runs this command again in a namespace and ends with its exit code.
func (a *App) enter(ctx context.Context, want host.Isolation) error {
	// The child gets the signals, too, and cleans up; ending this context would kill it in the midst of that.
	handed, err := a.HandOn()
	if err != nil {
		return err
	}
	code, err := host.Enter(context.WithoutCancel(ctx), host.EnterOptions{Isolation: want, Args: ShownArgs(a.Command...), Env: append(os.Environ(), handed)})
	if err != nil {
		return err
	}
	if code != 0 {
		return ExitStatus(code)
	}
	return nil
}

// Given is all that a process needs that goes on with this command.
func (a *App) Given() Handed {
	h := a.Handed
	h.Streams = a.Streams.said
	return h
}

// GoOnAs lets the next process go on with another command.
func (a *App) GoOnAs(h Handed) { a.Handed, a.Streams.said = h, h.Streams }

// HandOn prepares a process that goes on with this command, and returns what its environment must have.
func (a *App) HandOn() (env string, err error) { return a.Given().give() }

// Notice prints a line that is no error, and that no display shows.
func (a *App) Notice(text string) { fmt.Fprintln(a.Stderr, "gbuild:", text) }

// PrintError prints an error as the last thing that a command says.
func (a *App) PrintError(err error) {
	writeError(a.Stderr, err)
	if a.Flags.Debug {
		writeChain(a.Stderr, err)
	}
}
