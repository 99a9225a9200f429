// This file owns which system calls are answered, as data. Names that an architecture does not have are left out by whoever
// reads them.

package supervisor

import "golang.org/x/sys/unix"

// Level is how much of what a sandbox asks the kernel for is answered here.
type Level int

// The levels.
const (
	None    Level = iota // nothing
	Devices              // mknod of devices
	NoStat               // all that changes owners and users, and who a process is
	Full                 // owners are shown, too
	Fake                 // nothing is answered: what changes owners and users succeeds without having done anything
)

// Rule is a system call whose filter is changed.
type Rule struct {
	Call string
	When []Match // the calls that are answered, each one by itself; none: all of them
	Else []Match // all others, which are allowed
}

// Match is a condition on an argument.
type Match struct {
	Arg         uint
	Op          Op
	Value, Mask uint64 // Mask counts for MaskedEqual only
}

// Op is how an argument is compared.
type Op int

// The comparisons.
const (
	MaskedEqual Op = iota
	Equal
	NotEqual
	AtMost
	Greater
)

// giving are the calls that change owners and users. They are all that Fake answers, besides mknod of devices.
var giving = []string{
	"chown", "lchown", "fchown", "fchownat",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid",
}

// telling are those that say who a process is, make files that belong to it, or change who it is on the way.
var telling = []string{
	"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "execve", "execveat", "chroot",
	"mkdir", "mkdirat", "symlink", "symlinkat", "creat", "openat2",
	"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "listxattr", "llistxattr", "flistxattr",
}

// showing are those that show owners.
var showing = []string{"stat", "lstat", "fstat", "newfstatat", "fstatat", "statx"}

// Rules are the rules of a level.
func Rules(l Level) []Rule {
	switch l {
	case Devices:
		return devices()
	case Fake:
		return append(whole(giving), devices()...)
	case NoStat:
		return recorded()
	case Full:
		return append(recorded(), whole(showing)...)
	}
	return nil
}

// recorded are the rules of what must be answered to keep owners at all.
func recorded() []Rule {
	rules := append(whole(giving), whole(telling)...)
	rules = append(rules, Rule{Call: "mknod"}, Rule{Call: "mknodat"})
	rules = append(rules, creating("open", 1), creating("openat", 2))
	rules = append(rules, limiting("prlimit64", 1), limiting("setrlimit", 0), limiting("getrlimit", 0))
	return append(rules, Rule{
		Call: "prctl", // PR_SET_KEEPCAPS and PR_SET_SECUREBITS; a filter of libseccomp has no "neither this nor that"
		When: []Match{{Op: AtMost, Value: unix.PR_SET_SECUREBITS}},
		Else: []Match{{Op: Greater, Value: unix.PR_SET_SECUREBITS}},
	})
}

func whole(calls []string) []Rule {
	rules := make([]Rule, len(calls))
	for i, call := range calls {
		rules[i].Call = call
	}
	return rules
}

// devices are the rules for mknod of a device.
func devices() []Rule {
	rule := func(call string, mode uint) Rule {
		r := Rule{Call: call}
		for _, kind := range []uint64{unix.S_IFCHR, unix.S_IFBLK} {
			r.When = append(r.When, Match{Arg: mode, Value: kind, Mask: unix.S_IFMT})
		}
		for _, kind := range []uint64{0, unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK} {
			r.Else = append(r.Else, Match{Arg: mode, Value: kind, Mask: unix.S_IFMT})
		}
		return r
	}
	return []Rule{rule("mknod", 1), rule("mknodat", 2)}
}

// tmpfile is the bit that O_TMPFILE has besides O_DIRECTORY.
const tmpfile = unix.O_TMPFILE &^ unix.O_DIRECTORY

// creating is the rule for a call that opens files, whose argument arg has the flags.
func creating(call string, arg uint) Rule {
	return Rule{
		Call: call,
		When: []Match{{Arg: arg, Value: unix.O_CREAT, Mask: unix.O_CREAT}, {Arg: arg, Value: tmpfile, Mask: unix.O_CREAT | tmpfile}},
		Else: []Match{{Arg: arg, Value: 0, Mask: unix.O_CREAT | tmpfile}},
	}
}

// limiting is the rule for a call about a resource: the limit in which credentials live is not the process's own.
func limiting(call string, arg uint) Rule {
	return Rule{
		Call: call,
		When: []Match{{Arg: arg, Op: Equal, Value: unix.RLIMIT_LOCKS}},
		Else: []Match{{Arg: arg, Op: NotEqual, Value: unix.RLIMIT_LOCKS}},
	}
}
