// This file owns where tools say what is installed: the databases of distributions, and the directories of Pythons.

package installer

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Databases are the files and directories in which the package managers of distributions say what is installed.
var Databases = []string{"/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/apk/db/installed", "/var/lib/rpm", "/usr/lib/sysimage/rpm"}

// Prefixes are the directories below which the Pythons of a command have lib/python3.X, each once: those of programs that
// it installs by, those that its environment names, and the usual ones. dir is where it runs.
func Prefixes(programs []string, getenv func(string) string, dir string) (all []string) {
	add := func(dir string) {
		if dir = filepath.Clean(dir); filepath.IsAbs(dir) && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	for _, program := range programs {
		add(filepath.Dir(filepath.Dir(program)))
	}
	for _, bin := range filepath.SplitList(getenv("PATH")) {
		add(filepath.Dir(bin))
	}
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"} {
		if dir := getenv(name); dir != "" {
			add(dir)
		}
	}
	add("/usr")
	add("/usr/local")
	add(filepath.Join(dir, ".venv"))
	return all
}

// PackageDirs are the directories below a prefix that may have an entry for each package. list returns a directory's names.
func PackageDirs(prefix string, list func(dir string) []string) []string {
	all := []string{path.Join(prefix, "conda-meta")}
	lib := path.Join(prefix, "lib")
	for _, python := range list(lib) {
		if strings.HasPrefix(python, "python") || strings.HasPrefix(python, "pypy") {
			all = append(all, path.Join(lib, python, "site-packages"), path.Join(lib, python, "dist-packages"))
		}
	}
	return all
}

// IsPackage says whether a name in such a directory stands for a package: its version is part of the name.
func IsPackage(name string) bool {
	return slices.ContainsFunc([]string{".dist-info", ".egg-info", ".egg-link", ".json"}, func(end string) bool { return strings.HasSuffix(name, end) })
}
