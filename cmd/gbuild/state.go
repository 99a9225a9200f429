package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// stateDir is where snapshots, blobs and names are kept.
func (a *app) stateDir() (string, error) {
	if a.rootDir != "" {
		return filepath.Abs(a.rootDir)
	}
	if a.isRoot() && a.env("XDG_DATA_HOME") == "" {
		return "/var/lib/gbuild", nil
	}
	return a.xdg("XDG_DATA_HOME", ".local/share")
}

// cachesDir is where cache mounts are kept; never below stateDir, so that a state can be dropped and caches stay.
func (a *app) cachesDir() (string, error) {
	if a.cacheDir != "" {
		return filepath.Abs(a.cacheDir)
	}
	if a.isRoot() && a.env("XDG_CACHE_HOME") == "" {
		return "/var/cache/gbuild", nil
	}
	return a.xdg("XDG_CACHE_HOME", ".cache")
}

// isRoot says whether gbuild was started by the host's root. In its own namespace every user is uid 0.
func (a *app) isRoot() bool {
	if runtime.Entered() {
		return runtime.OwnerOutside() == 0
	}
	return os.Geteuid() == 0
}

func (a *app) xdg(name, below string) (string, error) {
	if dir := a.env(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gbuild"), nil
	}
	home := a.env("HOME")
	if home == "" {
		return "", hinted{errors.New("HOME is not set, so there is no place for gbuild's files"), "set HOME, or give --root and --cache-dir"}
	}
	return filepath.Join(home, below, "gbuild"), nil
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
	s.Fetch, s.Notice = a.fetchLayer, notice
	return s, nil
}

func (a *app) openCaches() (*pipcache.Caches, error) {
	dir, err := a.cachesDir()
	if err != nil {
		return nil, err
	}
	return pipcache.Open(dir)
}

// inNamespace runs f here when it needs no namespace or this process has one; else it runs this very command again in
// a user and mount namespace of its own.
func (a *app) inNamespace(ctx context.Context, f func(ctx context.Context, entered bool) error) error {
	err := f(ctx, runtime.Entered())
	if !errors.Is(err, build.ErrNeedsNamespace) || runtime.Entered() {
		return err
	}
	return a.enter(ctx)
}

// enter runs this command again in a namespace and ends with its exit code.
func (a *app) enter(ctx context.Context) error {
	// The child gets the signals, too, and cleans up; ending this context would kill it in the midst of that.
	handed, err := a.handOn()
	if err != nil {
		return err
	}
	env := append(os.Environ(), handed, brokenVar+"="+strings.Join(a.brokenCaches(), "\n"))
	code, err := runtime.Enter(context.WithoutCancel(ctx), runtime.EnterOptions{Args: a.shownArgs(a.words...), Env: env})
	if err != nil {
		return err
	}
	if code != 0 {
		return exitStatus(code)
	}
	return nil
}

// mustEnter is for commands that touch files of subordinate ids.
func (a *app) mustEnter(ctx context.Context, f func(ctx context.Context) error) error {
	if !runtime.Entered() {
		return a.enter(ctx)
	}
	return f(ctx)
}

// addInsecure adds the flag that says of every registry of a command, those of an image's layers included, how far it is
// trusted. Nothing that is stored says so: an image could claim it.
func (a *app) addInsecure(f *pflag.FlagSet) {
	f.BoolVar(&a.insecure, "insecure", false, "speak plain http to registries, and accept unknown certificates")
}

func (a *app) imageOptions() image.Options {
	return image.Options{Insecure: a.insecure, Mirrors: a.registryMirrors, Keychain: image.Keychain(a.dockerConfigDir(), a.authFiles()...), Certs: a.certDirs(), UserAgent: "gbuild/" + versionString(),
		Connections: &a.connections}
}

// authFiles are where podman keeps logins; a file that REGISTRY_AUTH_FILE names is the only one.
func (a *app) authFiles() []string {
	if file := a.env("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	files := []string{filepath.Join(a.configHome(), "containers/auth.json")}
	if dir := a.env("XDG_RUNTIME_DIR"); dir != "" {
		files = append([]string{filepath.Join(dir, "containers/auth.json")}, files...)
	}
	return files
}

// certDirs are where Docker, as root or rootless, and the container tools look for the certificates of registries.
func (a *app) certDirs() []string {
	config := a.configHome()
	return []string{filepath.Join(config, "docker/certs.d"), filepath.Join(config, "containers/certs.d"), "/etc/docker/certs.d", "/etc/containers/certs.d"}
}

func (a *app) configHome() string {
	return first(a.env("XDG_CONFIG_HOME"), filepath.Join(a.env("HOME"), ".config"))
}

func (a *app) dockerConfigDir() string {
	if dir := a.env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(a.env("HOME"), ".docker")
}
