// This file owns what keeps a cache that a RUN is given from a command in it: cleared environments and other users.

package shell

import (
	"slices"
	"strings"
)

// Barrier is why a command does not use a cache that its RUN is given. The zero Barrier is none.
type Barrier struct {
	Why    string
	Passes bool // the variables of the cache reach the command all the same
}

// then is what holds behind both. A cleared environment counts most: nothing comes through it.
func (b Barrier) then(next Barrier) Barrier {
	if b.Why == "" || b.Passes && next.Why != "" && !next.Passes {
		return next
	}
	return b
}

// cleared is the barrier of a command that drops the variables.
func cleared(by string) Barrier {
	return Barrier{"behind " + by + ", which clears the environment", false}
}

// otherUser is the barrier of a command that changes the user.
func otherUser(by string) Barrier {
	return Barrier{"behind " + by + ", which runs it as a user whose cache it would not be", true}
}

// SameUser says whether two users, as USER of a Dockerfile or an option names them, are the same.
func SameUser(a, b string) bool {
	norm := func(s string) string {
		s, _, _ = strings.Cut(s, ":")
		if s == "" || s == "0" || s == "root" {
			return "root"
		}
		return s
	}
	return norm(a) == norm(b)
}

// ifOption is a barrier that stands only where an option is given.
func ifOption(name string, b Barrier) func([]Word, string) Barrier {
	return func(opts []Word, _ string) Barrier {
		if hasOption(opts, name) {
			return b
		}
		return Barrier{}
	}
}

// always is a barrier whatever the options are.
func always(b Barrier) func([]Word, string) Barrier {
	return func([]Word, string) Barrier { return b }
}

// envBarrier is that of env, which may start with an empty environment.
func envBarrier(opts []Word, _ string) Barrier {
	for _, name := range []string{"-i", "-", "--ignore-environment", "-iS"} {
		if hasOption(opts, name) {
			return cleared("env " + name)
		}
	}
	return Barrier{}
}

// sudoBarrier is that of sudo, which clears the environment but with -E.
func sudoBarrier(opts []Word, user string) Barrier {
	keeps := slices.ContainsFunc(opts, func(w Word) bool { // a list of names has none of a cache
		return w.Value == "--preserve-env" || len(w.Value) > 1 && w.Value[0] == '-' && w.Value[1] != '-' && strings.Contains(w.Value, "E")
	})
	if !keeps || hasOption(opts, "-i") || hasOption(opts, "--login") {
		return cleared("sudo")
	}
	as, _ := optionValue(opts, "-u", "--user")
	if !SameUser(as, user) {
		return otherUser("sudo")
	}
	return Barrier{}
}

// suBarrier looks at all words, since the user of su may stand behind the command.
func suBarrier(words []Word, user string) Barrier {
	by := words[0].Base()
	if slices.ContainsFunc(words, func(w Word) bool { return w.Value == "-" || w.Value == "-l" || w.Value == "--login" }) {
		return cleared(by + " -")
	}
	as, named := optionValue(words, "-u", "--user")
	for i := 1; i < len(words) && !named; i++ {
		switch {
		case slices.Contains([]string{"-c", "--command", "--session-command", "-s", "--shell", "-g", "-G"}, words[i].Value):
			i++
		case !isOption(words[i]):
			as, named = words[i].Value, true
		}
	}
	if !SameUser(as, user) {
		return otherUser(by)
	}
	return Barrier{}
}

// firstUser is the barrier of a command whose first word that is no option is a user.
func firstUser(by string) func([]Word, string) Barrier {
	return func(opts []Word, user string) Barrier {
		i := slices.IndexFunc(opts, func(w Word) bool { return !isOption(w) })
		if i >= 0 && !SameUser(opts[i].Value, user) {
			return otherUser(by)
		}
		return Barrier{}
	}
}

// chpstBarrier is that of runit's chpst.
func chpstBarrier(opts []Word, user string) Barrier {
	if as, ok := optionValue(opts, "-u", "-u"); ok && !SameUser(as, user) {
		return otherUser("chpst")
	}
	return Barrier{}
}

// setprivBarrier is that of setpriv, which changes ids and may reset the environment.
func setprivBarrier(opts []Word, user string) Barrier {
	if hasOption(opts, "--reset-env") {
		return cleared("setpriv --reset-env")
	}
	if as, ok := optionValue(opts, "--euid", "--reuid"); ok && !SameUser(as, user) {
		return otherUser("setpriv")
	}
	return Barrier{}
}
