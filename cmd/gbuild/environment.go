// This file owns the directories and files that the environment names: those of gbuild, of Docker, and of the other tools
// of containers.

package main

import (
	"cmp"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/image"
)

// environment is os.LookupEnv, or a stand-in for it.
type environment func(name string) (string, bool)

func (e environment) get(name string) string {
	value, _ := e(name)
	return value
}

// userDir is gbuild's directory below the one that a variable of the XDG base directories names, or below a default in
// the user's home.
func (e environment) userDir(name, below string) (string, error) {
	if dir := e.get(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gbuild"), nil
	}
	home := e.get("HOME")
	if home == "" {
		return "", hint.Errorf("set HOME, or give --root and --cache-dir", "HOME is not set, so there is no place for gbuild's files")
	}
	return filepath.Join(home, below, "gbuild"), nil
}

func (e environment) configHome() string {
	return cmp.Or(e.get("XDG_CONFIG_HOME"), filepath.Join(e.get("HOME"), ".config"))
}

func (e environment) dockerConfigDir() string {
	return cmp.Or(e.get("DOCKER_CONFIG"), filepath.Join(e.get("HOME"), ".docker"))
}

// authFiles are where podman keeps logins; a file that REGISTRY_AUTH_FILE names is the only one.
func (e environment) authFiles() []string {
	if file := e.get("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	files := []string{filepath.Join(e.configHome(), "containers/auth.json")}
	if dir := e.get("XDG_RUNTIME_DIR"); dir != "" {
		files = append([]string{filepath.Join(dir, "containers/auth.json")}, files...)
	}
	return files
}

// certDirs are where Docker, as root or rootless, and the container tools look for the certificates of registries.
func (e environment) certDirs() []string {
	config := e.configHome()
	return []string{filepath.Join(config, "docker/certs.d"), filepath.Join(config, "containers/certs.d"), "/etc/docker/certs.d", "/etc/containers/certs.d"}
}

// dockerProxies are the proxies for containers. The daemon that has settings of its own there is the one that docker
// would talk to.
func (e environment) dockerProxies() (map[string]string, error) {
	return image.Proxies(e.dockerConfigDir(), cmp.Or(e.get("DOCKER_HOST"), "unix:///var/run/docker.sock"))
}

// scopeOf is the trust scope that a flag names, else that of the project that a context belongs to.
func (e environment) scopeOf(name, context string) string {
	if name != "" {
		return scope.Named(name)
	}
	return scope.Of(context, e.get("HOME"))
}
