// This file owns the units by which systemd starts a container again, after a reboot too: pure functions from what is kept of a container.

package running

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
)

// Unit is what a unit is made of.
type Unit struct {
	Record   *container.Record
	Program  string   // path of gbuild
	Root     string   // the state directory, where it is not the default
	System   bool     // a unit of root, not of an ordinary user
	New      bool     // the container is made anew at each start, by Words
	Dir      string   // what relative paths of Words begin at
	Words    []string // flags of gbuild run
	Args     []string // image and command
	Env      []string // NAME=value of -e, which no unit may show: it is readable for all
	EnvFile  string   // where Env lies, if there is some
	Delegate bool     // limits need a control group
	Left     []string // flags that mean nothing in a unit
}

// UnitOf reads what is kept of a container that can be started again. The flags are those of gbuild run, with those of all commands;
// line is the command line from them on.
func UnitOf(c *container.Container, flags func(args []string) (f *pflag.FlagSet, line []string, err error)) (*Unit, error) {
	p, err := planOf(c)
	if err != nil {
		return nil, err
	}
	f, line, err := flags(p.Handed.Args)
	if err != nil {
		return nil, err
	}
	u := &Unit{Record: &c.Record, Dir: p.Dir}
	return u, u.read(f, line, p.Variables)
}

// read takes the command line apart. A unit has no terminal, and no second process in the background, it says by itself what becomes of a container that ends, and
// a file of an id would be there already at the second start.
func (u *Unit) read(f *pflag.FlagSet, line, variables []string) error {
	limits, dotenv, caches := pflag.NewFlagSet("", pflag.ContinueOnError), false, false
	(&Limits{}).Flags(limits)
	err := f.ParseAll(line, func(flag *pflag.Flag, value string) error {
		switch flag.Name {
		case "detach", "rm", "restart", "name", "interactive", "stop-timeout", "root":
			return nil
		case "tty", "cidfile", "detach-keys", "log-driver", "log-opt":
			u.Left = append(u.Left, "--"+flag.Name)
			return nil
		case "env":
			u.Env = append(u.Env, value)
			return nil
		case "dotenv":
			dotenv = true
		case "caches":
			caches = true
		}
		u.Delegate = u.Delegate || limits.Lookup(flag.Name) != nil
		u.Words = append(u.Words, "--"+flag.Name+"="+value)
		return nil
	})
	if err != nil {
		return cli.Usage(err)
	}
	had := map[string]string{} // the caller's variables that count
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		had[name] = value
	}
	if names := had["GBUILD_RUN_CACHES"]; names != "" && !caches {
		u.Words = append(u.Words, "--caches="+names)
	}
	var env []string
	for _, e := range u.Env {
		if strings.Contains(e, "=") {
			env = append(env, e)
		} else if value, set := had[e]; set {
			env = append(env, e+"="+value)
		} else {
			u.Words = append(u.Words, "--env="+e) // it takes the image's away
		}
	}
	u.Env, u.Args = env, f.Args()
	if dotenv && len(u.Env) > 0 {
		return hint.Errorf("put the values into the file of --dotenv, or leave out --new", "-e goes before --dotenv, and a unit made with --new could not say so")
	}
	if slices.ContainsFunc(u.Env, func(e string) bool { return strings.Contains(e, "\n") }) {
		return hint.Errorf("leave out --new", "a value of -e has several lines, which no file of variables can have")
	}
	return nil
}

// Name is that of the unit's file.
func (u *Unit) Name() string { return "container-" + u.Record.Name + ".service" }

// Text is the unit. systemd alone starts the container again that has ended, as it has the policy and shows what happened; so gbuild's own supervisor does not
// (--no-restart, --restart=no): both together would restart twice, and after a number of times that nobody has asked for.
func (u *Unit) Text() (string, error) {
	policy, err := container.ParseRestart(u.Record.Restart)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(u.Dir, "\n\r") {
		return "", errors.New("the name of the working directory has several lines, which no unit can have")
	}
	name, wait := u.Record.Name, strconv.Itoa(u.Record.StopTimeout)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s, made by gbuild generate systemd\n", u.Name())
	line("[Unit]")
	line("Description=Container %s of gbuild", name)
	line("Wants=network-online.target\nAfter=network-online.target")
	if n := policy.Times(); n > 0 {
		line("# So many restarts, and the first start; a start by hand counts, too, until an hour has passed.")
		line("StartLimitIntervalSec=1h\nStartLimitBurst=%d", n+1)
	} else {
		line("StartLimitIntervalSec=0")
	}
	line("\n[Service]\nType=exec")
	if u.Root != "" {
		line("Environment=%s", unitWord("GBUILD_ROOT="+u.Root))
	}
	if u.New {
		line("WorkingDirectory=%s", strings.ReplaceAll(cmp.Or(u.Dir, "/"), "%", "%%"))
		line("ExecStartPre=-%s rm -f %s", unitWord(u.Program), name) // what a crash of the machine left
		words := append([]string{"run", "--rm", "--restart=no", "--name=" + name, "--stop-timeout=" + wait}, u.Words...)
		if len(u.Env) > 0 { // after other files: the last one counts
			words = append(words, "--env-file="+u.EnvFile)
		}
		line("ExecStart=%s %s", unitWord(u.Program), commandWords(slices.Concat(words, []string{"--"}, u.Args)))
	} else {
		line("ExecStart=%s start -a --no-restart %s", unitWord(u.Program), name)
	}
	line("ExecStop=-%s stop -t %s %s", unitWord(u.Program), wait, name)
	if u.Record.StopTimeout < 0 {
		line("TimeoutStopSec=infinity")
	} else {
		line("TimeoutStopSec=%d", u.Record.StopTimeout+10) // gbuild kills it before, and clears away
	}
	line("TimeoutStartSec=infinity\nKillMode=mixed\nSuccessExitStatus=143") // 143: it was asked to end, and did
	line("Restart=%s\nRestartSec=1", policy.Unit())
	if u.Delegate {
		line("Delegate=yes")
	}
	line("\n[Install]")
	if u.System {
		line("WantedBy=multi-user.target")
	} else {
		line("WantedBy=default.target")
	}
	return b.String(), nil
}

// commandWords are words of a command in a unit, where a dollar sign begins a variable.
func commandWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = unitWord(strings.ReplaceAll(w, "$", "$$"))
	}
	return strings.Join(quoted, " ")
}

// unitWord is one word by the rules of systemd.syntax: in quotes where it has to be, and % begins nothing.
func unitWord(w string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+%$"
	quote := w == "" || strings.Trim(w, plain) != ""
	var b strings.Builder
	for _, c := range []byte(w) {
		switch {
		case c == '%':
			b.WriteString("%%")
		case c == '"' || c == '\\':
			b.Write([]byte{'\\', c})
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	if quote {
		return `"` + b.String() + `"`
	}
	return b.String()
}

// EnvText is the file of variables for --env-file.
func (u *Unit) EnvText() string { return strings.Join(u.Env, "\n") + "\n" }

// EnvFileIn is where it lies beside the unit.
func (u *Unit) EnvFileIn(dir string) string {
	return filepath.Join(dir, "container-"+u.Record.Name+".env")
}
