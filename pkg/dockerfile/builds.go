package dockerfile

// What the text of a RUN says of the wheels that pip or uv builds in it: what of the text they can depend on, and whether
// they may be kept at all.

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// Builds is what the text of a RUN says of what is built in it.
type Builds struct {
	// Text is the RUN, with its requirements blanked, and the names of the files of requirements: what is built depends
	// on the rest.
	Text *Run
	// Files are those that -r and -c name, as they are written.
	Files []string
	// Moves says that the RUN leaves its directory, so that a relative name means another file.
	Moves bool
	// Sure says that the text is understood: nothing but the state before the RUN, and Text, decides what is built. If not,
	// something in the RUN may fetch, install or execute what is not named here.
	Sure bool
	// Constrained says that files of requirements may decide what is built.
	Constrained bool
	// Unpinned says that something is built of what an address has, whatever that is by then.
	Unpinned bool
}

// Unpinned says whether a requirement is the address of a file that may be another one next time, and that something is
// built of: pip finds what it has built by the address. It knows commits of repositories by their digests.
func Unpinned(requirement string) bool {
	if i := strings.LastIndex(requirement, "@ "); i >= 0 {
		requirement = requirement[i+2:]
	}
	u, err := url.Parse(strings.TrimSpace(requirement))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && path.Ext(u.Path) != ".whl" && !strings.Contains(u.Fragment, "sha256=")
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

// Builds reads the RUN for what it builds.
func (r *Run) Builds() Builds {
	b := Builds{Text: r.copyOf()}
	calls := r.calls()
	i := slices.IndexFunc(calls, (*call).builds)
	b.Unpinned = slices.ContainsFunc(calls, (*call).unpinned)
	b.Constrained = slices.ContainsFunc(slices.Concat(r.texts(), r.Env), constraining().MatchString)
	if i < 0 || len(r.shellTexts()) > 1 || len(r.Files) > 0 && len(r.shellTexts()) == 0 || len(r.scripts) > 0 {
		return b
	}
	b.Sure = calls[i].plain()
	for j, c := range calls {
		name := c.words[0].base()
		b.Moves = b.Moves || slices.Contains([]string{"cd", "pushd", "popd"}, name)
		if j != i && !c.harmless(c.at >= calls[i].end && j > i) {
			b.Sure = false
		}
	}
	if b.Sure {
		b.blank(calls[i])
	}
	return b
}

// copyOf returns a RUN whose words can be changed.
func (r *Run) copyOf() *Run {
	out := *r
	out.Args, out.Files = slices.Clone(r.Args), slices.Clone(r.Files)
	return &out
}

// builds says whether the call makes a tool do something that may build.
func (c *call) builds() bool { return c.fetches(Pip) || c.fetches(Uv) }

// unpinned says whether the call builds something of what an address has.
func (c *call) unpinned() bool {
	for _, p := range c.does.programs {
		for i, w := range p.args {
			if c.builds() && Unpinned(w.value) && (i == 0 || positional(p.args[i-1].value)) {
				return true
			}
		}
	}
	return false
}

// plain says whether the call is one call of pip or uv, which is there by name or by path.
func (c *call) plain() bool {
	if len(c.does.programs) != 1 || c.repeats || c.fixed {
		return false
	}
	p := &c.does.programs[0]
	return (p.name == "pip" || p.name == "uv") && !strings.Contains(p.path, unknown)
}

// harmless says whether a command beside the one that builds changes nothing that is not in its own text: after it, when
// all is built, nothing that could build more.
func (c *call) harmless(after bool) bool {
	name := c.words[0].base()
	switch {
	case c.builds() || c.fixed:
		return false
	case after && slices.Contains(later, name):
		return true
	case name == "source" || name == ".":
		return len(c.words) == 2 && c.words[1].base() == "activate"
	case isPython(name):
		return len(c.words) == 4 && c.words[1].value == "-m" && c.words[2].value == "venv"
	case name == "env":
		return len(c.words) == 1
	}
	if args, ok := c.argsOf(Pip); ok && slices.Contains([]string{"", "list", "check", "freeze", "show", "inspect", "debug"}, subcommand(args)) {
		return true
	}
	for _, t := range Tools {
		if c.manages(t) {
			return true
		}
	}
	return slices.Contains(repeatable, name)
}

// blank takes the requirements, and the names of files of requirements, out of the text.
func (b *Builds) blank(c *call) {
	tool := Pip
	if !c.fetches(Pip) {
		tool = Uv
	}
	args, _ := c.argsOf(tool)
	var edits []edit
	cut := func(w word) {
		if !w.part && !b.expands(w) {
			edits = append(edits, edit{at: w.at, end: w.end})
		}
	}
	named, before := false, ""
	for _, w := range args {
		switch {
		case slices.Contains([]string{"-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints"}, before):
			b.Files = append(b.Files, w.value)
			cut(w)
		case w.value == "install" || w.value == "wheel" || w.value == "download" || w.value == "add":
			named = true
		case named && positional(before) && requirement().MatchString(w.value):
			cut(w)
		default:
			if name, file, ok := strings.Cut(w.value, "="); ok && slices.Contains([]string{"--requirement", "--requirements", "--constraint", "--constraints"}, name) {
				b.Files = append(b.Files, file)
			}
		}
		before = w.value
	}
	b.cut(edits)
}

// positional says whether the word after this one is no value of an option.
func positional(before string) bool {
	return !strings.HasPrefix(before, "-") || slices.Contains(plainFlags, before) || strings.HasPrefix(before, "--") && strings.Contains(before, "=")
}

// expands says whether the shell puts something into the word: what that is, is in the RUN's text or environment.
func (b *Builds) expands(w word) bool {
	texts := b.Text.shellTexts()
	return len(texts) > 0 && strings.ContainsAny(texts[0].text[w.at:w.end], "$`")
}

// cut removes words.
func (b *Builds) cut(edits []edit) {
	texts := b.Text.shellTexts()
	for _, e := range slices.Backward(edits) {
		if len(texts) == 0 {
			b.Text.Args = slices.Delete(b.Text.Args, e.at, e.at+1)
			continue
		}
		texts[0].text = strings.TrimRight(texts[0].text[:e.at], " \t") + texts[0].text[e.end:]
	}
	if len(texts) > 0 {
		texts[0].set(b.Text, texts[0].text)
	}
}

// Pythons are the programs with a path that the RUN installs Python packages by: /opt/venv/bin/pip.
func (r *Run) Pythons() (all []string) {
	for _, c := range r.calls() {
		if c.builds() && path.IsAbs(c.program()) {
			all = append(all, c.program())
		}
	}
	return all
}

// program is the path of the program that installs, or of its Python; unknown stands in it for what only the shell knows.
func (c *call) program() string {
	for _, p := range c.does.programs {
		return p.path
	}
	return ""
}
