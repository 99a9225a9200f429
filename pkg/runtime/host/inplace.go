// This file owns what is known of a place whose root executes commands without namespaces: what it may do, and whether its root directory
// is gbuild's to change.

package host

import (
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/statedir"
	"github.com/gbuild/gbuild/pkg/runtime/direct"
)

// imageMarker is the file by which gbuild's own image says so. Its lines are paths that belong to gbuild, and are no part of what is built.
// A dash before one says that it is a file which makes room for one of that name.
const imageMarker = "/.gbuild/image"

// What gbuild has beside its own image's files in a root directory that it changes: it is there as long as they are.
const (
	TreeDir    = "/.gbuild/tree"
	journalDir = "/.gbuild/swap"
)

// JournalIn is where a process writes down what it has put into the files of a stage for the time of a command: where it is found by
// whoever finds those files. state is the state directory.
func JournalIn(state string, i Isolation) string {
	if i == Inplace {
		return journalDir
	}
	return statedir.Swap.In(state)
}

// ImagePaths lists what of the root directory belongs to gbuild's own image, and the files of it that make room for what is built. In
// another image both are nil.
func ImagePaths() (own, aside []string) {
	own, aside, _ = imagePaths(imageMarker)
	return own, aside
}

// ownImage says why the root directory is not gbuild's to change.
func ownImage() *Missing {
	var st unix.Statfs_t
	_, _, missing := imagePaths(imageMarker)
	if missing == nil && unix.Statfs("/", &st) == nil && st.Flags&unix.ST_RDONLY != 0 {
		return &Missing{What: "the root directory is read-only", Remedy: "give the container one that it may write to: in Docker leave out --read-only, in Kubernetes readOnlyRootFilesystem: false"}
	}
	return missing
}

// imagePaths reads a marker, which itself is among the paths.
func imagePaths(marker string) (own, aside []string, missing *Missing) {
	text, err := os.ReadFile(marker)
	if err != nil {
		return nil, nil, &Missing{What: "this is not gbuild's own image, so its root directory is left alone (there is no " + imageMarker + ")",
			Remedy: "use gbuild's image for the container, or leave out --isolation=inplace"}
	}
	own = []string{path.Dir(marker)}
	for line := range strings.Lines(string(text)) {
		line, makesRoom := strings.CutPrefix(strings.TrimSpace(line), "-")
		switch {
		case line == "" || line[0] == '#':
		case !path.IsAbs(line) || path.Clean(line) == "/":
			return nil, nil, &Missing{What: imageMarker + " has a line that is no absolute path: " + line, Remedy: "use gbuild's image as it is"}
		case makesRoom:
			aside = append(aside, path.Clean(line))
		default:
			own = append(own, path.Clean(line))
		}
	}
	return own, aside, nil
}

// WithoutNamespaces is the best isolation by which commands can be executed as plain processes here, by a process that has entered none;
// else NoRun, and why.
var WithoutNamespaces = sync.OnceValues(func() (Isolation, *Missing) {
	s := decide(gather())
	for _, i := range []Isolation{Inplace, Chroot} {
		if s.Lacks(i) == nil {
			return i, nil
		}
	}
	return NoRun, s.Lacks(Chroot)
})

// decideDirect says why root may not execute commands without namespaces. On a machine they would be root of it: that is for containers,
// and for who has no rights over the machine.
func decideDirect(f facts) *Missing {
	switch {
	case f.uid != 0:
		return &Missing{What: "this is an ordinary user", Remedy: "run gbuild as root of the container"}
	case f.noProc:
		return &Missing{What: "there is no /proc here, through which gbuild starts itself anew", Remedy: "mount it: mount -t proc proc /proc"}
	case f.container == "" && f.effective&(1<<unix.CAP_SYS_ADMIN) != 0:
		return &Missing{What: "root has all rights over this machine, and a command without namespaces would have them, too", Remedy: "run gbuild in a container"}
	case f.lacks != "":
		return &Missing{What: "root may not " + f.lacks + " here", Remedy: "give it to the container: in Docker --cap-add, in Kubernetes securityContext.capabilities.add"}
	}
	return nil
}

// lackingRights tries what commands do, in memory where that is to be had.
var lackingRights = sync.OnceValue(func() string {
	dir := shmDir
	if !InMemory(dir) {
		dir = os.TempDir()
	}
	lacks, err := direct.Try(dir)
	if err != nil {
		return "start processes (" + err.Error() + ")"
	}
	return lacks
})
