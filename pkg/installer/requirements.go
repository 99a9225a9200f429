// This file owns files of requirements and the settings that name them: which of their lines can change a wheel that is built.

package installer

import (
	"path"
	"slices"
	"strings"
)

// Settings are files in which pip and uv may be led to files of requirements that decide what is built. ~ is a home, and a
// name without a slash is in the directory of the RUN. PrefixSettings is one below the prefix of each Python.
var Settings = []string{"/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf", "/etc/uv/uv.toml", "~/.config/uv/uv.toml",
	"uv.toml", "pyproject.toml"}

// PrefixSettings is pip's file of settings below the prefix of a Python.
const PrefixSettings = "pip.conf"

// Constrains says whether a file of settings speaks of constraints.
func Constrains(settings string) bool {
	return strings.Contains(settings, "constraint") || strings.Contains(settings, "override")
}

// unseen are variables that decide what pip and uv print and how patiently they ask, and nothing that is built.
var unseen = []string{"PIP_NO_INPUT", "PIP_ROOT_USER_ACTION", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_PROGRESS_BAR", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES",
	"UV_HTTP_TIMEOUT", "UV_NO_PROGRESS", "DEBIAN_FRONTEND", "PYTHONUNBUFFERED", "TERM"}

// SeesVariable says whether what pip and uv build may depend on a variable.
func SeesVariable(name string) bool { return !slices.Contains(unseen, name) }

// IsRequirements knows files of requirements, and lock files, by their names.
func IsRequirements(name string) bool {
	if slices.Contains([]string{"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "pylock.toml"}, name) {
		return true
	}
	ext := path.Ext(name)
	return (ext == ".txt" || ext == ".in") && strings.Contains(strings.ToLower(name), "requirement")
}

// OnlyRequires says whether a file that -r or -c names has requirements only: the file of a project says more than these.
func OnlyRequires(name string) bool {
	return slices.Contains([]string{".txt", ".in", ".pip", ".req", ""}, path.Ext(name))
}

// RequirementLine is a line of such a file that has more than names, versions and hashes: it may change what is built.
type RequirementLine struct {
	Names    bool   // it names another such file
	File     string // the name of that
	Option   string // the line, where it says how something is built
	Unpinned bool   // it requires what an address has, whatever that is by then
}

// RequirementLines reads a file of requirements.
func RequirementLines(text string) (all []RequirementLine) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\\\n", " ")
	for line := range strings.SplitSeq(text, "\n") {
		if l := requirementLine(strings.Fields(line)); l != (RequirementLine{}) {
			all = append(all, l)
		}
	}
	return all
}

func requirementLine(words []string) RequirementLine {
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--hash=") })
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 {
		words = words[:i]
	}
	isOption := func(w string) bool { return strings.HasPrefix(w, "-") }
	if len(words) > 0 && !isOption(words[0]) && slices.ContainsFunc(words, Unpinned) {
		return RequirementLine{Unpinned: true}
	}
	if !slices.ContainsFunc(words, isOption) {
		return RequirementLine{}
	}
	for _, option := range []string{"--requirement", "--constraint", "-r", "-c"} {
		if rest, ok := strings.CutPrefix(words[0], option); ok {
			if rest = strings.TrimPrefix(rest, "="); rest == "" && len(words) > 1 {
				rest = words[1]
			}
			return RequirementLine{Names: true, File: rest}
		}
	}
	return RequirementLine{Option: strings.Join(words, " ")}
}
