// This file owns what the tools of Python share: the names of Pythons, and of the modules that they run.

package installer

import (
	"path"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// IsPython says whether a name is that of a Python, with a version or without.
func IsPython(name string) bool {
	name = strings.TrimRight(name, versions)
	return name == "python" || name == "pypy"
}

// Module finds the program in the words after python -m, or after python and the file of a module: its canonical name, and the
// index of the last word that belongs to the name. The name is empty where that program fetches no packages.
func Module(words []string) (name string, at int) {
	name = strings.TrimSuffix(path.Base(words[0]), ".pyz")
	if name == "__main__.py" {
		name = path.Base(strings.TrimSuffix(words[0], "/__main__.py"))
	}
	switch {
	case name == "build":
		name = "pyproject-build"
	case name == "piptools" && len(words) > 1:
		name, at = "pip-"+words[1], 1
	}
	return Canonical(name), at
}

var (
	pipVariable    = lazyregexp.New(`(?i)^(.*_)?pip3?(_?(bin|exe|cmd|path|command))?$`)
	pythonVariable = lazyregexp.New(`(?i)^(.*_)?(python3?|py3?)(_?(bin|exe|executable|cmd|path|interpreter|command))?$`)
	uvVariable     = lazyregexp.New(`(?i)^(.*_)?uv(_?(bin|exe|cmd|path))?$`)
)

// InVariable is the program that a variable of that name has most likely; empty for none.
func InVariable(variable string) string {
	switch {
	case variable == "":
		return ""
	case pipVariable().MatchString(variable):
		return "pip"
	case uvVariable().MatchString(variable):
		return "uv"
	case pythonVariable().MatchString(variable):
		return "python"
	}
	return ""
}

var pythonScript = lazyregexp.New(`(?i)pip|python|requirement|venv`)

// InstallsPython says whether a script of that name installs Python packages, most likely.
func InstallsPython(name string) bool { return pythonScript().MatchString(name) }
