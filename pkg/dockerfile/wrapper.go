package dockerfile

import (
	"slices"
	"strings"
)

// This file knows the commands that start another command, and what each does to the environment of that.

// wrapper says where in the words of such a command the other one begins.
type wrapper struct {
	sub     []string // it starts one after one of these only: conda run
	group   string   // a word that may stand before that: uv tool run
	valued  []string // options whose value is the next word
	own     int      // words of its own before the command
	assigns bool     // NAME=VALUE may stand before the command
	after   []string // the command stands after one of these: find -exec
	text    []string // options whose value is shell text: su -c
	search  bool     // the command is where a known program is named
	itself  bool     // it fetches packages itself: uv run
	loops   bool     // it may run the command several times
	only    func(opts []word) bool
	barrier func(opts []word, user string) barrier
}

// barrier is why a command does not use a cache that its RUN is given; empty when it does.
type barrier struct {
	why    string
	passes bool // the variables reach it all the same
}

// then is what holds behind both. A cleared environment counts most: nothing comes through it.
func (b barrier) then(next barrier) barrier {
	if b.why == "" || b.passes && next.why != "" && !next.passes {
		return next
	}
	return b
}

func cleared(by string) barrier {
	return barrier{"behind " + by + ", which clears the environment", false}
}

func otherUser(by string) barrier {
	return barrier{"behind " + by + ", which runs it as a user whose cache it would not be", true}
}

var wrappers = map[string]*wrapper{
	"env":     {assigns: true, valued: []string{"-u", "--unset", "-C", "--chdir"}, barrier: envBarrier},
	"exec":    {valued: []string{"-a"}, barrier: func(opts []word, _ string) barrier { return ifOption(opts, "-c", cleared("exec -c")) }},
	"command": {only: func(opts []word) bool { return !hasOption(opts, "-v") && !hasOption(opts, "-V") }},
	"builtin": {}, "noglob": {}, "nohup": {}, "eatmydata": {}, "unbuffer": {}, "fakeroot": {}, "tini": {}, "dumb-init": {}, "catchsegv": {},
	"linux32": {}, "linux64": {}, "dbus-run-session": {}, "ssh-agent": {}, "busybox": {}, "torsocks": {}, "chronic": {}, "setsid": {},
	"nice":        {valued: []string{"-n", "--adjustment"}},
	"ionice":      {valued: []string{"-c", "-n", "--class", "--classdata"}},
	"timeout":     {valued: []string{"-k", "--kill-after", "-s", "--signal"}, own: 1},
	"stdbuf":      {valued: []string{"-i", "-o", "-e", "--input", "--output", "--error"}},
	"time":        {valued: []string{"-f", "--format", "-o", "--output"}},
	"chrt":        {own: 1},
	"taskset":     {own: 1},
	"setarch":     {own: 1},
	"numactl":     {valued: []string{"-N", "-m", "-C", "-i", "-p", "-P"}},
	"strace":      {valued: []string{"-o", "-e", "-s", "-p"}},
	"proxychains": {valued: []string{"-f"}}, "proxychains4": {valued: []string{"-f"}},
	"xvfb-run":     {valued: []string{"-n", "-s", "-e", "-f", "-p", "-w"}},
	"flock":        {valued: []string{"-w", "--timeout", "-E"}, own: 1, text: []string{"-c", "--command"}},
	"script":       {text: []string{"-c", "--command"}, only: func([]word) bool { return false }},
	"sg":           {own: 1, text: []string{"-c"}},
	"scl":          {sub: []string{"enable"}, own: 1, search: true},
	"xargs":        {valued: []string{"-a", "--arg-file", "-d", "--delimiter", "-E", "-I", "-L", "-n", "-P", "-s", "--max-args", "--max-procs", "--max-lines"}, loops: true},
	"find":         {after: []string{"-exec", "-execdir", "-ok", "-okdir"}, loops: true},
	"parallel":     {search: true, loops: true},
	"retry":        {search: true, loops: true},
	"sem":          {search: true, loops: true},
	"watch":        {search: true, loops: true},
	"sudo":         {assigns: true, valued: []string{"-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-D", "--chdir", "-R", "-T", "-U"}, barrier: sudoBarrier},
	"doas":         {valued: []string{"-u", "-C"}, barrier: func([]word, string) barrier { return cleared("doas") }},
	"su":           {text: []string{"-c", "--command", "--session-command"}, only: func([]word) bool { return false }, barrier: suBarrier},
	"runuser":      {valued: []string{"-u", "--user", "-g", "-G"}, text: []string{"-c", "--command", "--session-command"}, only: func(opts []word) bool { return hasOption(opts, "-u") || hasOption(opts, "--user") }, barrier: suBarrier},
	"gosu":         {own: 1, barrier: firstUser("gosu")},
	"su-exec":      {own: 1, barrier: firstUser("su-exec")},
	"setuidgid":    {own: 1, barrier: firstUser("setuidgid")},
	"s6-setuidgid": {own: 1, barrier: firstUser("s6-setuidgid")},
	"chpst":        {valued: []string{"-u", "-U", "-e", "-/", "-n"}, barrier: chpstBarrier},
	"setpriv":      {valued: []string{"--reuid", "--regid", "--groups", "--ruid", "--euid", "--bounding-set", "--inh-caps", "--ambient-caps"}, barrier: setprivBarrier},
	"chroot":       {own: 1, barrier: func([]word, string) barrier { return barrier{"behind chroot, which does not see the cache", true} }},
	"conda":        {sub: []string{"run"}, valued: condaRun, barrier: condaBarrier},
	"mamba":        {sub: []string{"run"}, valued: condaRun, barrier: condaBarrier},
	"micromamba":   {sub: []string{"run"}, valued: condaRun, barrier: condaBarrier},
	"poetry":       {sub: []string{"run"}, valued: []string{"-C", "--directory", "-P", "--project"}},
	"pipenv":       {sub: []string{"run"}, valued: []string{"--python"}},
	"pdm":          {sub: []string{"run"}, valued: []string{"-p", "--project", "--venv"}},
	"rye":          {sub: []string{"run"}},
	"pixi":         {sub: []string{"run"}, valued: []string{"-e", "--environment", "--manifest-path"}},
	"hatch":        {sub: []string{"run"}, valued: []string{"-e", "--env"}},
	"pyenv":        {sub: []string{"exec"}},
	"asdf":         {sub: []string{"exec"}},
	"mise":         {sub: []string{"exec", "x"}, search: true},
	"direnv":       {sub: []string{"exec"}, own: 1},
	"uv":           {sub: []string{"run", "x"}, group: "tool", valued: uvRun, itself: true},
	"uvx":          {valued: uvRun, itself: true},
	"pipx":         {sub: []string{"run"}, valued: []string{"--spec", "--python", "--pip-args", "--index-url", "-i"}, itself: true},
}

var (
	condaRun = []string{"-n", "--name", "-p", "--prefix", "--cwd", "-r", "--root-prefix", "-e", "--env", "-a", "--attach"}
	uvRun    = []string{"-p", "--python", "--with", "--with-requirements", "--with-editable", "--from", "--extra", "--no-extra", "--group", "--no-group", "--only-group",
		"--package", "--project", "--directory", "--index", "--default-index", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--env-file", "--config-file",
		"--index-strategy", "--link-mode", "--refresh-package", "-P", "--upgrade-package", "-C", "--config-setting", "--color", "--cache-dir", "-w", "-c", "--constraint",
		"--overrides", "--python-preference", "--resolution", "--prerelease", "--exclude-newer", "--reinstall-package", "--torch-backend"}
)

// strip takes the wrapper off: opts is what it keeps for itself, rest the command.
func (w *wrapper) strip(words []word) (opts, rest []word) {
	i := 1
	if w.sub != nil {
		if i = w.begins(words); i == 0 {
			return nil, nil
		}
	}
	if w.after != nil {
		at := slices.IndexFunc(words, func(x word) bool { return slices.Contains(w.after, x.value) })
		if at < 0 {
			return words, nil
		}
		return words, words[at+1:]
	}
	for own := w.own; i < len(words); i++ {
		switch value := words[i].value; {
		case value == "--":
			if own == 0 {
				return words[1:i], words[i+1:]
			}
		case strings.HasPrefix(value, "-"):
			if slices.Contains(w.valued, value) {
				i++
			}
		case w.assigns && isAssignment(value):
		case own > 0:
			own--
		default:
			return words[1:i], words[i:]
		}
	}
	return words[1:], nil
}

// begins is the index after the sub-command that starts another command; 0 without it.
func (w *wrapper) begins(words []word) int {
	for i := 1; i < len(words); i++ {
		switch value := words[i].value; {
		case slices.Contains(w.sub, value):
			return i + 1
		case slices.Contains(w.valued, value):
			i++
		case !strings.HasPrefix(value, "-") && (w.group == "" || value != w.group):
			return 0
		}
	}
	return 0
}

// shellText is the word that the wrapper gives to a shell; nil without one.
func (w *wrapper) shellText(words []word) *word {
	i := slices.IndexFunc(words, func(x word) bool { return slices.Contains(w.text, x.value) })
	if i < 0 || i+1 >= len(words) {
		return nil
	}
	return &words[i+1]
}

// isAssignment says whether a word is NAME=VALUE.
func isAssignment(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	return ok && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && (name[0] < '0' || name[0] > '9')
}

func hasOption(opts []word, name string) bool {
	return slices.ContainsFunc(opts, func(w word) bool {
		return w.value == name || strings.HasPrefix(name, "--") && strings.HasPrefix(w.value, name+"=")
	})
}

func ifOption(opts []word, name string, b barrier) barrier {
	if hasOption(opts, name) {
		return b
	}
	return barrier{}
}

func envBarrier(opts []word, _ string) barrier {
	for _, name := range []string{"-i", "-", "--ignore-environment", "-iS"} {
		if hasOption(opts, name) {
			return cleared("env " + name)
		}
	}
	return barrier{}
}

func condaBarrier(opts []word, _ string) barrier {
	return ifOption(opts, "--clean-env", cleared("--clean-env"))
}

// optionValue is the value of an option that may be written in four ways.
func optionValue(words []word, short, long string) (string, bool) {
	for i, w := range words {
		switch {
		case (w.value == short || w.value == long) && i+1 < len(words):
			return words[i+1].value, true
		case strings.HasPrefix(w.value, long+"="):
			return w.value[len(long)+1:], true
		case len(w.value) > 2 && strings.HasPrefix(w.value, short) && !strings.HasPrefix(w.value, "--"):
			return w.value[2:], true
		}
	}
	return "", false
}

// sameUser compares two users as they are written.
func sameUser(a, b string) bool {
	norm := func(s string) string {
		s, _, _ = strings.Cut(s, ":")
		if s == "" || s == "0" || s == "root" {
			return "root"
		}
		return s
	}
	return norm(a) == norm(b)
}

func sudoBarrier(opts []word, user string) barrier {
	keeps := slices.ContainsFunc(opts, func(w word) bool { // a list of names has none of a cache
		return w.value == "--preserve-env" || len(w.value) > 1 && w.value[0] == '-' && w.value[1] != '-' && strings.Contains(w.value, "E")
	})
	if !keeps || hasOption(opts, "-i") || hasOption(opts, "--login") {
		return cleared("sudo")
	}
	as, _ := optionValue(opts, "-u", "--user")
	if !sameUser(as, user) {
		return otherUser("sudo")
	}
	return barrier{}
}

func suBarrier(words []word, user string) barrier {
	by := words[0].base()
	if slices.ContainsFunc(words, func(w word) bool { return w.value == "-" || w.value == "-l" || w.value == "--login" }) {
		return cleared(by + " -")
	}
	as, named := optionValue(words, "-u", "--user")
	for i := 1; i < len(words) && !named; i++ {
		switch value := words[i].value; {
		case slices.Contains([]string{"-c", "--command", "--session-command", "-s", "--shell", "-g", "-G"}, value):
			i++
		case !strings.HasPrefix(value, "-"):
			as, named = value, true
		}
	}
	if !sameUser(as, user) {
		return otherUser(by)
	}
	return barrier{}
}

func firstUser(by string) func([]word, string) barrier {
	return func(opts []word, user string) barrier {
		i := slices.IndexFunc(opts, func(w word) bool { return !strings.HasPrefix(w.value, "-") })
		if i >= 0 && !sameUser(opts[i].value, user) {
			return otherUser(by)
		}
		return barrier{}
	}
}

func chpstBarrier(opts []word, user string) barrier {
	if as, ok := optionValue(opts, "-u", "-u"); ok && !sameUser(as, user) {
		return otherUser("chpst")
	}
	return barrier{}
}

func setprivBarrier(opts []word, user string) barrier {
	if hasOption(opts, "--reset-env") {
		return cleared("setpriv --reset-env")
	}
	if as, ok := optionValue(opts, "--euid", "--reuid"); ok && !sameUser(as, user) {
		return otherUser("setpriv")
	}
	return barrier{}
}
