// This file owns the decision how the sandboxes of a process are made, and the sentence that says so where it is not the best
// way.

package host

import (
	"errors"
	"fmt"
	"strings"
)

// Mode is how the sandboxes of this process are made.
type Mode struct {
	Isolation Isolation
	Asked     bool // the user asked for this isolation
	// Each of these says what of a sandbox is weaker than it could be, and is nil where it is not.
	Single    *Missing // why there is but one id, where nobody asked for that
	Faked     *Missing // why calls are not answered, where nobody asked for that
	BoundProc *Missing // why a sandbox has the /proc and the processes of this place
	HostName  *Missing // why a sandbox has the name of this host
	NoOwn     *Missing // why there are no namespaces, where nobody asked for that
	HostRoot  *Missing // why root in a sandbox is in no user namespace of its own
}

// Mode decides how sandboxes are made in the isolation that is wanted. The error is a *Missing.
func (s Support) Mode(want Isolation) (Mode, error) {
	m := Mode{Isolation: want, Asked: want != Auto}
	if want == Auto {
		m.Isolation = s.Isolation()
	}
	if !m.Isolation.CanRun() {
		return m, s.none(want)
	}
	if missing := s.Lacks(m.Isolation); missing != nil {
		return m, &Missing{What: "there is no isolation " + m.Isolation.String() + " here: " + missing.Error(), Remedy: missing.Remedy}
	}
	if m.Isolation.Enters() {
		m.BoundProc, m.HostName, m.HostRoot = s.Proc, s.Hostname, s.OwnUsers
	}
	switch {
	case m.Asked:
	case m.Isolation.IsDirect():
		m.NoOwn = s.UserNamespaces
	case m.Isolation <= RootlessSingle:
		m.Single = first(s.Mapping, s.Subordinate)
	}
	if !m.Asked && m.Isolation == Fake {
		m.Faked = s.Notify
	}
	return m, nil
}

// none says why no RUN can be executed.
func (s Support) none(want Isolation) *Missing {
	if want == NoRun {
		return &Missing{What: "no RUN is executed, since the isolation norun was asked for", Remedy: "leave out --isolation, or GBUILD_ISOLATION"}
	}
	missing := *first(s.Lacks(Fake), s.Lacks(RootlessSingle), s.Lacks(Root))
	missing.Remedy = "take --isolation=ptrace; or " + missing.Remedy
	if s.Tracer != nil {
		missing.Remedy = "install proot, and " + missing.Remedy
	}
	return &missing
}

// CannotDo says why no RUN can be executed in an isolation that is made of no namespaces, or nil. What it takes beside that is looked for
// when the first RUN is executed.
func CannotDo(want Isolation) error {
	s := Support{}
	if want.IsDirect() {
		s = decide(gather())
	}
	_, err := s.Mode(want)
	return err
}

// CannotRun says why no RUN can be executed where Enter has failed. An error that is no *Missing stays what it is.
func CannotRun(err error) error {
	var missing *Missing
	if !errors.As(err, &missing) {
		return err
	}
	return Support{UserNamespaces: missing, Tracer: missingTracer()}.none(Auto)
}

// ModeHere is the mode of this process, which is cheap where nothing is weaker than it could be.
func ModeHere(want Isolation) (Mode, error) {
	if Entered() && !SingleID() && !bare.Load() && OwnParts().Proc && OwnParts().Hostname {
		return Support{Root: OwnerOutside() == 0}.Mode(want)
	}
	return decide(examine()).Mode(want)
}

// effects say what each way lacks.
var effects = map[Isolation]string{
	RootlessSingle: "owners are kept beside the files, and users in the sandbox are not protected from each other",
	Fake:           "changes of owners and users succeed without being done, and every file that is made belongs to root",
	Inplace:        "a command is root of this container, has its network and its files, and sees its processes; one RUN is executed at a time",
	Chroot: "a command is root of this container, has its network, and can reach its processes and files; one RUN is executed at a time; and there is no /proc, " +
		"so that <(...), /dev/fd, /dev/stdout, ps, mknod -m, systemd-tmpfiles and the installation of Java fail",
	Ptrace: "there are no namespaces, and proot answers the system calls of a command, which takes longer; the command has the network, the processes and the devices of this place, may write to what is shown read-only, and changes of owners are lost: what it makes belongs to root",
}

// String says the mode in one sentence: what it is, why it is no better one, and what would be better. It is empty where there is
// no better one.
func (m Mode) String() string {
	var parts, better []string
	add := func(effect string, why *Missing) {
		if why != nil {
			effect = why.Error() + ": " + effect
			better = append(better, why.Remedy)
		}
		parts = append(parts, effect)
	}
	if effect := effects[m.Isolation]; effect != "" {
		add(effect, first(m.Faked, m.Single, m.NoOwn))
	}
	if m.HostRoot != nil {
		add("root in the sandbox is root of this machine, with few capabilities", m.HostRoot)
	}
	if m.BoundProc != nil {
		add("the sandbox has the /proc of this place and sees its processes", m.BoundProc)
	}
	if m.HostName != nil {
		add("the sandbox has that of this place", m.HostName)
	}
	if len(parts) == 0 {
		return ""
	}
	name := m.Isolation.String()
	if m.Asked {
		name += ", which was asked for"
	}
	text := fmt.Sprintf("isolation %s: %s", name, strings.Join(parts, "; "))
	if len(better) > 0 {
		text += ". Better: " + strings.Join(better, "; ")
	}
	return text
}
