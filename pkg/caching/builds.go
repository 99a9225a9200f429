// This file owns what the text of a command says of the wheels that pip or uv builds in it: what of the text they can
// depend on, and whether they may be kept at all.

package caching

import (
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/shell"
)

// Builds is what the text of a command says of what is built in it.
type Builds struct {
	// Text is the command, with its requirements blanked, and the names of the files of requirements: what is built depends
	// on the rest.
	Text *shell.Command
	// Files are those that -r and -c name, as they are written.
	Files []string
	// Moves says that the command leaves its directory, so that a relative name means another file.
	Moves bool
	// Sure says that the text is understood: nothing but the state before the RUN, and Text, decides what is built. If not,
	// something in the RUN may fetch, install or execute what is not named here.
	Sure bool
	// Constrained says that files of requirements may decide what is built.
	Constrained bool
	// Unpinned says that something is built of what an address has, whatever that is by then.
	Unpinned bool
}

var (
	// repeatable commands do the same each time, whatever the network has and what time it is.
	repeatable = []string{"cd", "pushd", "popd", "mkdir", "echo", "printf", "export", "readonly", "local", "declare", "set", "shopt", ":", "true", "false", "test",
		"[", "[[", "rm", "rmdir", "ln", "cp", "mv", "install", "chmod", "chown", "chgrp", "touch", "ls", "cat", "sed", "grep", "head", "tail", "cut", "tr", "sort",
		"uniq", "wc", "umask", "ulimit", "unset", "alias", "type", "which", "whoami", "id", "pwd", "env", "nproc", "uname", "sleep", "useradd", "groupadd",
		"locale-gen", "update-alternatives", "ldconfig", "dirname", "basename", "readlink", "realpath", "du", "df", "stat", "return", "exit"}
	// later commands call no pip themselves: they may stand after the one that builds, when nothing is built any more.
	later = []string{"git", "curl", "wget", "apt", "apt-get", "apk", "yum", "dnf", "microdnf", "find", "strip", "tar", "unzip"}

	requirement = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?\s*((===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9._*+!-]+\s*,?\s*)*$`)
	// constraining texts lead pip or uv to files that decide what is built, or where pip and uv look for such settings.
	constraining = lazyregexp.New(`(?i)(PIP|UV)_(BUILD_)?CONSTRAINTS?\b|UV_OVERRIDE|build-constraint|PIP_REQUIREMENT|_CONFIG_FILE|config-file|(^|\s)-b[\s=]|\boverrides?\b`)
)

// plainFlags are options without a value: what stands behind them is a requirement.
var plainFlags = []string{"--no-cache-dir", "--no-cache", "-U", "--upgrade", "-q", "-qq", "-qqq", "--quiet", "-v", "-vv", "-vvv", "--verbose", "--no-input", "--no-build-isolation",
	"--pre", "--user", "--no-deps", "--force-reinstall", "--reinstall", "--ignore-installed", "-I", "--prefer-binary", "--require-hashes", "--break-system-packages",
	"--system", "--no-compile", "--compile", "--no-warn-script-location", "--disable-pip-version-check", "--isolated", "-n"}

// The options of pip and uv that name a file of requirements.
var (
	fileFlags     = []string{"-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints"}
	fileLongFlags = []string{"--requirement", "--requirements", "--constraint", "--constraints"}
)

// Builds reads the command for what it builds.
func (c *Calls) Builds() Builds {
	b := Builds{Text: c.cmd.Clone()}
	i := slices.IndexFunc(c.all, builds)
	b.Unpinned = slices.ContainsFunc(c.all, unpinned)
	b.Constrained = c.cmd.Mentions(constraining().MatchString) || slices.ContainsFunc(c.cmd.Env, constraining().MatchString)
	if i < 0 || len(c.texts) > 1 || len(c.cmd.Files) > 0 && len(c.texts) == 0 || c.cmd.Scripts.Found() {
		return b
	}
	b.Sure = isPlain(c.all[i])
	for j, call := range c.all {
		b.Moves = b.Moves || slices.Contains([]string{"cd", "pushd", "popd"}, call.Name())
		if j != i && !harmless(call, call.At >= c.all[i].End && j > i) {
			b.Sure = false
		}
	}
	if b.Sure {
		b.blank(c.all[i])
	}
	return b
}

// builds says whether the call makes a tool do something that may build.
func builds(call *shell.Call) bool {
	return fetches(call, installer.Pip) || fetches(call, installer.Uv)
}

// unpinned says whether the call builds something of what an address has.
func unpinned(call *shell.Call) bool {
	for _, p := range call.Programs() {
		for i, w := range p.Args {
			if builds(call) && installer.Unpinned(w.Value) && (i == 0 || positional(p.Args[i-1].Value)) {
				return true
			}
		}
	}
	return false
}

// isPlain says whether the call is one call of pip or uv, which is there by name or by path.
func isPlain(call *shell.Call) bool {
	if len(call.Programs()) != 1 || call.Repeats || call.Fixed {
		return false
	}
	p := call.Programs()[0]
	return (p.Name == "pip" || p.Name == "uv") && !strings.Contains(p.Path, installer.Unknown)
}

// harmless says whether a command beside the one that builds changes nothing that is not in its own text: after it, when
// all is built, nothing that could build more.
func harmless(call *shell.Call, after bool) bool {
	name := call.Name()
	switch {
	case builds(call) || call.Fixed:
		return false
	case after && slices.Contains(later, name):
		return true
	case name == "source" || name == ".":
		return len(call.Words) == 2 && call.Words[1].Base() == "activate"
	case installer.IsPython(name):
		return len(call.Words) == 4 && call.Words[1].Value == "-m" && call.Words[2].Value == "venv"
	case name == "env":
		return len(call.Words) == 1
	}
	return onlyLooks(call) || slices.ContainsFunc(installer.Tools, func(t installer.Tool) bool { return manages(call, t) }) || slices.Contains(repeatable, name)
}

// onlyLooks says whether the call asks pip what is there.
func onlyLooks(call *shell.Call) bool {
	for _, p := range call.Programs() {
		if as := p.Call(); p.Barrier.Why == "" && as.Uses(installer.Pip) {
			return slices.Contains([]string{"", "list", "check", "freeze", "show", "inspect", "debug"}, as.Subcommand())
		}
	}
	return false
}

// blank takes the requirements, and the names of files of requirements, out of the text.
func (b *Builds) blank(call *shell.Call) {
	tool := installer.Pip
	if !fetches(call, tool) {
		tool = installer.Uv
	}
	var edits []edit
	cut := func(w shell.Word) {
		if !w.Part && !b.expands(w) {
			edits = append(edits, edit{at: w.At, end: w.End})
		}
	}
	named, before := false, ""
	for _, w := range argsOf(call, tool) {
		switch {
		case slices.Contains(fileFlags, before):
			b.Files = append(b.Files, w.Value)
			cut(w)
		case w.Value == "install" || w.Value == "wheel" || w.Value == "download" || w.Value == "add":
			named = true
		case named && positional(before) && requirement().MatchString(w.Value):
			cut(w)
		default:
			if name, file, ok := strings.Cut(w.Value, "="); ok && slices.Contains(fileLongFlags, name) {
				b.Files = append(b.Files, file)
			}
		}
		before = w.Value
	}
	b.cut(edits)
}

// positional says whether the word after this one is no value of an option.
func positional(before string) bool {
	return !strings.HasPrefix(before, "-") || slices.Contains(plainFlags, before) || strings.HasPrefix(before, "--") && strings.Contains(before, "=")
}

// expands says whether the shell puts something into the word: what that is, is in the command's text or environment.
func (b *Builds) expands(w shell.Word) bool {
	texts := b.Text.Texts()
	return len(texts) > 0 && strings.ContainsAny(texts[0].Text[w.At:w.End], "$`")
}

// cut removes words.
func (b *Builds) cut(edits []edit) {
	texts := b.Text.Texts()
	for _, e := range slices.Backward(edits) {
		if len(texts) == 0 {
			b.Text.Args = slices.Delete(b.Text.Args, e.at, e.at+1)
			continue
		}
		texts[0].Text = strings.TrimRight(texts[0].Text[:e.at], " \t") + texts[0].Text[e.end:]
	}
	if len(texts) > 0 {
		texts[0].Set(b.Text, texts[0].Text)
	}
}

// Pythons are the programs with a path that the command installs Python packages by: /opt/venv/bin/pip.
func (c *Calls) Pythons() (all []string) {
	for _, call := range c.all {
		if programs := call.Programs(); builds(call) && path.IsAbs(programs[0].Path) {
			all = append(all, programs[0].Path)
		}
	}
	return all
}
