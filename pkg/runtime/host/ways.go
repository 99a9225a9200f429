// This file owns which namespaces this process can try to make, and what may be refused on the way into them.

package host

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// way is one kind of namespaces to enter: with these ids, or, where there are none, without a user namespace.
type way struct{ maps *idMaps }

// waysInto lists the ways that make the isolation that is wanted, or one as good as can be had, the best first. What is missing
// for that is found without having tried.
func waysInto(want Isolation) ([]way, *Missing) {
	root := os.Geteuid() == 0
	one := way{singleMaps()}
	switch {
	case want == RootlessSingle || want == Fake:
		return []way{one}, nil
	case want == Root && !root:
		return nil, notRoot()
	case want == Rootless && root:
		return nil, notRootless()
	case root:
		all := []way{{identityMaps()}, {}}
		if want == Auto {
			all = append(all, one)
		}
		return all, nil
	}
	ids, missing := subordinateMaps(os.Geteuid(), os.Getegid())
	if noNewPrivileges() {
		missing = noNewPrivilegesMissing()
	}
	switch {
	case missing == nil && want == Auto:
		return []way{{ids}, one}, nil
	case missing == nil:
		return []way{{ids}}, nil
	case want == Auto:
		return []way{one}, nil
	}
	return nil, missing
}

// step is a part of the way into the namespaces. A later one is nearer to the end.
type step int

const (
	stepNone  step = iota
	stepClone      // the namespaces are made
	stepMap        // the ids are mapped
	stepMount      // the mounts are separated from the host's
)

// refusal is what the kernel, or a helper, did not do.
type refusal struct {
	at  step
	err error
	// Of a helper that maps ids: what it printed, and how it is installed.
	tool, said     string
	setuid, nosuid bool
}

// Error implements error.
func (r *refusal) Error() string {
	if r.said != "" {
		return r.tool + ": " + r.said
	}
	return r.err.Error()
}

// Unwrap gives the reason.
func (r *refusal) Unwrap() error { return r.err }

// refusedAt makes a refusal of an error, without the words of whoever made a system call for us.
func refusedAt(at step, err error) *refusal {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &refusal{at: at, err: err}
}

// further is the refusal that came closer to the end; the first where they came as far. It says what is to be mended.
func further(first, second *refusal) *refusal {
	if first == nil || second != nil && second.at > first.at {
		return second
	}
	return first
}

// whyVar hands on to the process in the namespaces why they are not better ones: only its parent knows what was refused.
const whyVar = "_GBUILD_ENTER_WHY"

// words are What and Remedy in one line each, for whyVar.
func (m *Missing) words() string {
	return strings.ReplaceAll(m.Error(), "\n", " ") + "\n" + m.Remedy
}

// missingFromWords reads what words wrote; nil where it is empty.
func missingFromWords(text string) *Missing {
	what, remedy, ok := strings.Cut(text, "\n")
	if !ok {
		return nil
	}
	return &Missing{What: what, Remedy: remedy}
}
