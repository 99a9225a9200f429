// This file owns --ssh: which agent a RUN and git are lent.

package building

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/sshagent"
	"github.com/gbuild/gbuild/pkg/build"
)

// sshFlag is one --ssh ID[=SOCKET[,raw=true]|KEY[,KEY]].
type sshFlag struct {
	text, id string
	places   []string // a socket, or files with keys
	raw      bool
}

// parseSSHFlag reads one --ssh, and looks at nothing yet.
func parseSSHFlag(s string, environ cli.Environment) (f sshFlag, err error) {
	id, places, _ := strings.Cut(s, "=")
	f = sshFlag{text: s, id: cmp.Or(id, "default")}
	for _, place := range strings.Split(places, ",") {
		if value, isRaw := strings.CutPrefix(place, "raw="); isRaw {
			if f.raw, err = strconv.ParseBool(value); err != nil {
				return f, cli.Usagef("--ssh %s: raw=%s: it is true or false", s, value)
			}
		} else if place != "" {
			f.places = append(f.places, place)
		}
	}
	// Only an agent of the user's can be handed on raw. One with the keys of files is ours, and only signs.
	if f.raw && len(f.places) != 1 {
		return f, cli.Usagef("--ssh %s: raw=true needs the socket of an agent: --ssh %s=SOCKET,raw=true", s, f.id)
	}
	if len(f.places) == 0 {
		f.places = []string{environ.Get("SSH_AUTH_SOCK")}
	}
	return f, nil
}

// sshAgents reads --ssh: the user's agent, or one that has the keys of these files and lives as long as the build. The
// function that it returns ends what it started.
func sshAgents(words []string, environ cli.Environment, read cli.FileReader) (agents map[string]build.Secret, stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, f := range undo {
			f()
		}
	}
	agents = map[string]build.Secret{}
	for _, s := range words {
		f, err := parseSSHFlag(s, environ)
		if _, twice := agents[f.id]; err == nil && twice {
			err = cli.Usagef("--ssh %s: the id %s is given twice", s, f.id)
		}
		if err == nil {
			var end func()
			agents[f.id], end, err = f.agent(read)
			// end is never nil, so that stop need not ask which of the agents gbuild has started.
			undo = append(undo, end)
		}
		if err != nil {
			stop()
			return nil, nil, err
		}
	}
	return agents, stop, nil
}

// agent finds or starts the agent; stop ends what was started.
func (f sshFlag) agent(read cli.FileReader) (agent build.Secret, stop func(), err error) {
	stop = func() {}
	sockets, err := f.countSockets()
	switch {
	case err != nil:
		return agent, stop, err
	case sockets == 1 && len(f.places) == 1:
		return build.Secret{Socket: f.places[0], Raw: f.raw}, stop, nil
	case sockets > 0 || f.raw:
		return agent, stop, cli.Usagef("--ssh %s: it is the socket of one agent, which may be raw, or key files", f.text)
	}
	socket, end, err := sshagent.ServeKeys(f.places, read)
	if err != nil {
		return agent, stop, fmt.Errorf("--ssh %s: %w", f.text, err)
	}
	return build.Secret{Socket: socket}, end, nil
}

// countSockets says how many of the places are sockets. The others are taken for keys.
func (f sshFlag) countSockets() (n int, err error) {
	for _, place := range f.places {
		info, err := os.Stat(place)
		if err != nil {
			return 0, hint.Errorf("start one (eval $(ssh-agent); ssh-add), or name its socket or key files: --ssh default=PATH", "--ssh %s: no ssh agent listens at %q", f.text, place)
		}
		if info.Mode()&os.ModeSocket != 0 {
			n++
		}
	}
	return n, nil
}
