// This file owns the table of the commands that start another command, and what each does to the environment of that.
// Those of package managers, such as uv run, are pkg/installer's. It also says whether a name is known here at all.

package shell

import "github.com/gbuild/gbuild/pkg/installer"

// valued is a wrapper with options whose value is the next word.
func valued(options ...string) installer.Runner { return installer.Runner{Valued: options} }

// after is a wrapper that starts a command only if one of these words comes first.
func after(sub ...string) installer.Runner { return installer.Runner{Sub: sub} }

var suOptions = []string{"-c", "--command", "--session-command"}

// wrappers are the commands by their names. A wrapper without fields starts what stands after its options.
var wrappers = map[string]*wrapper{
	"env":     {assigns: true, Runner: valued("-u", "--unset", "-C", "--chdir"), barrier: envBarrier},
	"exec":    {Runner: valued("-a"), barrier: ifOption("-c", cleared("exec -c"))},
	"command": {only: func(opts []Word) bool { return !hasOption(opts, "-v") && !hasOption(opts, "-V") }},
	"builtin": {}, "noglob": {}, "nohup": {}, "eatmydata": {}, "unbuffer": {}, "fakeroot": {}, "tini": {}, "dumb-init": {}, "catchsegv": {},
	"linux32": {}, "linux64": {}, "dbus-run-session": {}, "ssh-agent": {}, "busybox": {}, "torsocks": {}, "chronic": {}, "setsid": {},
	"nice":        {Runner: valued("-n", "--adjustment")},
	"ionice":      {Runner: valued("-c", "-n", "--class", "--classdata")},
	"timeout":     {Runner: valued("-k", "--kill-after", "-s", "--signal"), own: 1},
	"stdbuf":      {Runner: valued("-i", "-o", "-e", "--input", "--output", "--error")},
	"time":        {Runner: valued("-f", "--format", "-o", "--output")},
	"chrt":        {own: 1},
	"taskset":     {own: 1},
	"setarch":     {own: 1},
	"numactl":     {Runner: valued("-N", "-m", "-C", "-i", "-p", "-P")},
	"strace":      {Runner: valued("-o", "-e", "-s", "-p")},
	"proxychains": {Runner: valued("-f")}, "proxychains4": {Runner: valued("-f")},
	"xvfb-run": {Runner: valued("-n", "-s", "-e", "-f", "-p", "-w")},
	"flock":    {Runner: valued("-w", "--timeout", "-E"), own: 1, text: []string{"-c", "--command"}},
	"script":   {text: []string{"-c", "--command"}, only: func([]Word) bool { return false }},
	"sg":       {own: 1, text: []string{"-c"}},
	"scl":      {Runner: after("enable"), own: 1, search: true},
	"xargs":    {Runner: valued("-a", "--arg-file", "-d", "--delimiter", "-E", "-I", "-L", "-n", "-P", "-s", "--max-args", "--max-procs", "--max-lines"), loops: true},
	"find":     {after: []string{"-exec", "-execdir", "-ok", "-okdir"}, loops: true},
	"parallel": {search: true, loops: true},
	"retry":    {search: true, loops: true},
	"sem":      {search: true, loops: true},
	"watch":    {search: true, loops: true},

	"sudo": {assigns: true, Runner: valued("-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-D", "--chdir", "-R", "-T", "-U"), barrier: sudoBarrier},
	"doas": {Runner: valued("-u", "-C"), barrier: always(cleared("doas"))},
	"su":   {text: suOptions, only: func([]Word) bool { return false }, barrier: suBarrier, whole: true},
	"runuser": {Runner: valued("-u", "--user", "-g", "-G"), text: suOptions, barrier: suBarrier, whole: true,
		only: func(opts []Word) bool { return hasOption(opts, "-u") || hasOption(opts, "--user") }},
	"gosu":         {own: 1, barrier: firstUser("gosu")},
	"su-exec":      {own: 1, barrier: firstUser("su-exec")},
	"setuidgid":    {own: 1, barrier: firstUser("setuidgid")},
	"s6-setuidgid": {own: 1, barrier: firstUser("s6-setuidgid")},
	"chpst":        {Runner: valued("-u", "-U", "-e", "-/", "-n"), barrier: chpstBarrier},
	"setpriv":      {Runner: valued("--reuid", "--regid", "--groups", "--ruid", "--euid", "--bounding-set", "--inh-caps", "--ambient-caps"), barrier: setprivBarrier},
	"chroot":       {own: 1, barrier: always(Barrier{"behind chroot, which does not see the cache", true})},

	"pyenv":  {Runner: after("exec")},
	"asdf":   {Runner: after("exec")},
	"mise":   {Runner: after("exec", "x"), search: true},
	"direnv": {Runner: after("exec"), own: 1},
}

// wrapperNamed is the wrapper of a name; nil for a command that is none.
func wrapperNamed(name string) *wrapper {
	if w := wrappers[name]; w != nil {
		return w
	}
	r := installer.Runs(name)
	if r == nil {
		return nil
	}
	w := &wrapper{Runner: *r}
	if r.Clears != "" {
		w.barrier = ifOption(r.Clears, cleared(r.Clears))
	}
	return w
}

// isShell says whether a name is that of a shell.
func isShell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh":
		return true
	}
	return false
}

// isKnown says whether a name means something here: a package manager, a Python, a shell, or a wrapper.
func isKnown(name string) bool {
	return installer.Canonical(name) != "" || installer.IsPython(name) || isShell(name) || wrapperNamed(name) != nil
}
