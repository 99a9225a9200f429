// This file owns what is said of a RUN whose command failed: the error, and what to try, as far as the step and the files that
// it saw show a cause.

package reasons

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/toolcache"
)

// RunError is the failure of a RUN's command.
type RunError struct {
	Args   []string
	Exit   *runtime.ExitError
	Remedy string // advice, if a cause was found; empty: only the exit status is known
}

// Error words the failure as BuildKit does.
func (e *RunError) Error() string {
	text := fmt.Sprintf("process %q did not complete successfully: exit code: %d", strings.Join(e.Args, " "), e.Exit.Code)
	if e.Exit.Signal != 0 {
		text += fmt.Sprintf(" (killed by %v)", e.Exit.Signal)
	}
	return text
}

// Unwrap gives the *runtime.ExitError.
func (e *RunError) Unwrap() error { return e.Exit }

// Hint says what to try.
func (e *RunError) Hint() string {
	if e.Remedy != "" {
		return e.Remedy
	}
	switch e.Exit.Code {
	case 127:
		return "127 means that the command was not found in the image: check its name and PATH"
	case 126:
		return "126 means that the command could not be executed: check its mode, its #! line and the image's architecture"
	case 137:
		return "137 means that it was killed, most often because memory ran out; for compilers, set MAX_JOBS or -j lower"
	}
	return "the steps before this one are stored: run the same gbuild command again after the fix and it goes on from here"
}

// OfExit words a command's failure in the mounted root as BuildKit does; view has the files that the command saw.
func OfExit(view func() *rootfs.View, s *dockerfile.Run, err error, root string, said *toolcache.Output) error {
	var exit *runtime.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	e := &RunError{Args: s.Args, Exit: exit}
	switch {
	case isFull(root):
		e.Remedy = "no space is left for the files of this step: free some (gbuild prune, gbuild cache rm), or name another disk with --root"
	case exit.Signal != 0:
	case said.NoNode, said.Denied && strings.Contains(strings.Join(s.Args, " "), "mknod"):
		e.Remedy = "it wanted to make a device node, which Linux lets nobody do in a user namespace, and every RUN is in one, root's too. " +
			"What runs the image makes a /dev of its own: leave the node out; if this RUN itself needs the device, give it: --device /dev/NAME"
	case isTooLong(s):
		e.Remedy = "the kernel gives a program words and variables of 128 KiB at most (execve(2)): write the text to a file, with COPY <<EOF /script, and RUN that"
	case hasCR(s):
		e.Remedy = "lines of this RUN end in CR LF, and the shell takes the CR as part of the last word: save the Dockerfile with LF " +
			"(in git: \"Dockerfile text eol=lf\" in .gitattributes)"
	default:
		e.Remedy = blameScript(view(), s)
	}
	return e
}

// isFull says whether less than a MiB is free where a mounted draft keeps its files.
func isFull(root string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(root, &fs) == nil && fs.Bavail*uint64(fs.Bsize) < 1<<20
}

// maxWord is MAX_ARG_STRLEN of Linux, the end of a string included: see execve(2).
const maxWord = 128 << 10

// isTooLong says whether the kernel refuses to start the command because of the length of a word or a variable.
func isTooLong(s *dockerfile.Run) bool {
	return slices.ContainsFunc(slices.Concat(s.Args, s.Env), func(word string) bool { return len(word) >= maxWord })
}

// hasCR says whether a text that a shell reads has lines that end as on Windows.
func hasCR(s *dockerfile.Run) bool {
	return slices.ContainsFunc(s.Args, func(text string) bool { return strings.Contains(text, "\r\n") }) ||
		slices.ContainsFunc(s.Files, func(f dockerfile.File) bool { return bytes.Contains(f.Data, []byte("\r\n")) })
}

const (
	maxScripts = 64      // this many scripts of a RUN are looked at
	firstBytes = 4 << 10 // this much of a script is read: its #! line, and a few more
)

// blameScript looks at the scripts that the RUN names: one whose lines end in CR LF, or whose #! line names no program of
// the image, fails with "not found", whatever is there. It is empty where there is none.
func blameScript(v *rootfs.View, s *dockerfile.Run) string {
	words := s.Calls().Words()
	for _, word := range words[:min(len(words), maxScripts)] {
		for _, name := range candidates(s, word) {
			if remedy := blameFile(v, name); remedy != "" {
				return remedy
			}
		}
	}
	return ""
}

// candidates are the files that a word of a command may mean.
func candidates(s *dockerfile.Run, word string) (all []string) {
	if word == "" || strings.HasPrefix(word, "-") {
		return nil
	}
	if path.IsAbs(word) {
		return []string{path.Clean(word)}
	}
	all = append(all, path.Join("/", s.Dir, word))
	if !strings.Contains(word, "/") {
		for _, dir := range strings.Split(s.Getenv("PATH"), ":") {
			all = append(all, path.Join("/", dir, word))
		}
	}
	return all
}

// blameFile says what is wrong with a script; empty where nothing is seen, or where it is none.
func blameFile(v *rootfs.View, name string) string {
	f, err := v.Follow(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := bufio.NewReaderSize(io.LimitReader(f, firstBytes), firstBytes).Peek(firstBytes) // a short file is no error
	line, _, _ := bytes.Cut(text, []byte("\n"))
	interpreter, isScript := bytes.CutPrefix(line, []byte("#!"))
	if (isScript || path.Ext(name) == ".sh") && bytes.HasSuffix(line, []byte("\r")) {
		return fmt.Sprintf("the lines of %s end in CR LF, and the kernel and the shell take the CR as part of the last word: save it with LF "+
			"(in git: \"*.sh text eol=lf\" in .gitattributes)", name)
	}
	fields := strings.Fields(string(interpreter))
	if !isScript || len(fields) == 0 || !path.IsAbs(fields[0]) {
		return ""
	}
	if _, _, err := v.Resolve(fields[0], true); err != nil {
		return fmt.Sprintf("the #! line of %s names %s, which is not in the image: install it, or name another", name, fields[0])
	}
	return ""
}
