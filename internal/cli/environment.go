// This file owns the directories and files that the environment names: those of gbuild, of Docker, and of the other tools
// of containers.

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/scope"
	"github.com/gbuild/gbuild/pkg/image"
)

// Environment is os.LookupEnv, or a stand-in for it.
type Environment func(name string) (string, bool)

// Get is the value of a variable, or empty.
func (e Environment) Get(name string) string {
	value, _ := e(name)
	return value
}

// userDir is gbuild's directory below the one that a variable of the XDG base directories names, or below a default in
// the user's home. Where nothing can be made there it is one for temporary files, and instead says so.
func (e Environment) userDir(name, below, otherwise string) (dir string, instead bool, err error) {
	if dir := e.Get(name); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gbuild"), false, nil
	}
	if home := e.Get("HOME"); home != "" {
		if dir = filepath.Join(home, below, "gbuild"); canMake(dir) {
			return dir, false, nil
		}
	}
	own, err := e.temporaryDir()
	return filepath.Join(own, otherwise), true, err
}

// canMake says whether this user may make a directory, or has it.
func canMake(dir string) bool {
	for {
		switch err := unix.Access(dir, unix.W_OK|unix.X_OK); {
		case err == nil:
			return true
		case !errors.Is(err, unix.ENOENT) || dir == "/":
			return false
		}
		dir = filepath.Dir(dir)
	}
}

// temporaryDir is the user's own directory among those for temporary files, where others could have made one of that name.
func (e Environment) temporaryDir() (string, error) {
	dir := filepath.Join(cmp.Or(e.Get("TMPDIR"), "/tmp"), fmt.Sprintf("gbuild-%d", userID()))
	refused := func(err error) error {
		return hint.HostErrorf("set HOME, or give --root and --cache-dir (GBUILD_ROOT, GBUILD_CACHE_DIR)",
			"there is no place for gbuild's files: HOME is not set, or cannot be written, and neither can %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", refused(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", refused(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return "", refused(errors.New("it is not this user's alone"))
	}
	return dir, nil
}

// configHome is where the user's tools have their configuration.
func (e Environment) configHome() string {
	return cmp.Or(e.Get("XDG_CONFIG_HOME"), filepath.Join(e.Get("HOME"), ".config"))
}

// dockerConfigDir is where docker keeps logins and proxies.
func (e Environment) dockerConfigDir() string {
	return cmp.Or(e.Get("DOCKER_CONFIG"), filepath.Join(e.Get("HOME"), ".docker"))
}

// authFiles are where podman keeps logins; a file that REGISTRY_AUTH_FILE names is the only one.
func (e Environment) authFiles() []string {
	if file := e.Get("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	files := []string{filepath.Join(e.configHome(), "containers/auth.json")}
	if dir := e.Get("XDG_RUNTIME_DIR"); dir != "" {
		files = append([]string{filepath.Join(dir, "containers/auth.json")}, files...)
	}
	return files
}

// certDirs are where Docker, as root or rootless, and the container tools look for the certificates of registries.
func (e Environment) certDirs() []string {
	config := e.configHome()
	return []string{filepath.Join(config, "docker/certs.d"), filepath.Join(config, "containers/certs.d"), "/etc/docker/certs.d", "/etc/containers/certs.d"}
}

// DockerProxies are the proxies for containers. The daemon that has settings of its own there is the one that docker
// would talk to.
func (e Environment) DockerProxies() (map[string]string, error) {
	return image.Proxies(e.dockerConfigDir(), cmp.Or(e.Get("DOCKER_HOST"), "unix:///var/run/docker.sock"))
}

// ScopeOf is the trust scope that a flag names, else that of the project that a context belongs to.
func (e Environment) ScopeOf(name, context string) string {
	if name != "" {
		return scope.Named(name)
	}
	return scope.Of(context, e.Get("HOME"))
}

// Passed are the variables of an --env: those with a value, and those that the caller has.
func (e Environment) Passed(words []string) (env []string) {
	for _, word := range words {
		if value, ok := e(word); !strings.Contains(word, "=") && ok {
			word += "=" + value
		}
		if strings.Contains(word, "=") {
			env = append(env, word)
		}
	}
	return env
}
