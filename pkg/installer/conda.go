// This file owns what is known of conda, and of mamba and micromamba, which understand its commands.

package installer

import (
	"slices"
	"strings"
)

// Conda is the package manager conda.
const Conda Tool = "conda"

var condaCache = Cache{Variable: "CONDA_PKGS_DIRS", Manage: []string{"clean"}, Places: []string{"pkgs"}, Exclusive: true}

var (
	condaProgram = Program{Fetch: []string{"install", "create", "update", "upgrade"}, Runs: &Runner{Sub: []string{"run"}, Clears: "--clean-env",
		Valued: []string{"-n", "--name", "-p", "--prefix", "--cwd", "-r", "--root-prefix", "-e", "--env", "-a", "--attach"}}}
	condaPrograms = map[string]Program{"conda": condaProgram, "mamba": condaProgram, "micromamba": condaProgram}
)

// readsList says whether a conda is given a file that may list packages for pip, which conda then calls.
func (c Call) readsList() bool {
	return c.Has("env") || slices.ContainsFunc(c.Args, func(arg string) bool {
		return arg == "-f" || strings.HasPrefix(arg, "--file") || strings.HasSuffix(arg, ".yml") || strings.HasSuffix(arg, ".yaml")
	}) && c.Name != "conda"
}
