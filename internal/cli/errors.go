// This file owns the errors of the command line: what each of them prints, and the exit code that it ends with.

package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/moby/buildkit/util/suggest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// The exit codes, a contract with scripts.
const (
	exitOK      = 0
	ExitFailed  = 1   // A build or a run failed for a reason in its input.
	exitUsage   = 2   // The command line is wrong.
	ExitHost    = 64  // This host lacks something that gbuild needs.
	ExitSignals = 128 // The number of the signal is added that ended the command.
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

// Unwrap gives the reason.
func (u usageError) Unwrap() error { return u.error }

// Usage says of an error that the command line is its cause.
func Usage(err error) error { return usageError{err} }

// Usagef is Usage of an error that it words.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Interrupted is the cause of a context that a signal cancelled.
type Interrupted syscall.Signal

// Error implements error.
func (i Interrupted) Error() string { return "interrupted: " + syscall.Signal(i).String() }

// coded is an error that ends the process with a code of its own.
type coded struct {
	error
	code int
}

// Unwrap gives the error.
func (c coded) Unwrap() error { return c.error }

// WithCode gives an error the exit code that another program has for it, whose command line gbuild has taken over.
func WithCode(code int, err error) error { return coded{err, code} }

// CodeOfRun gives an error the exit code that builders have which end with that of the command of a RUN, and with one code for all
// else. Who interrupts a build, and a process that has gone on with the command line, have said their code already.
func CodeOfRun(err error, other int) error {
	var exit *runtime.ExitError
	var said ExitStatus
	var stopped Interrupted
	switch {
	case err == nil || errors.As(err, &said) || errors.As(err, &stopped):
		return err
	case errors.As(err, &exit) && exit.Code > 0:
		return WithCode(exit.Code, err)
	}
	return WithCode(other, err)
}

// ExitStatus ends the process with a code and no message: what there was to say has been said.
type ExitStatus int

// Error implements error.
func (e ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// ExitCode is the code of a command that ended with an error.
func ExitCode(err error) int {
	var status ExitStatus
	var usage usageError
	var stopped Interrupted
	var own coded
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case HostAtFault(err):
		return ExitHost
	case errors.As(err, &stopped):
		return ExitSignals + int(stopped)
	}
	return ExitFailed
}

// HostAtFault says whether an error is about what this host lacks.
func HostAtFault(err error) bool {
	var missing *host.Missing
	return errors.As(err, &missing) || hint.OfHost(err)
}

// writeError writes an error with the lines of the Dockerfile that it is about, and what to do next.
func writeError(w io.Writer, err error) {
	var at *dockerfile.Error
	if errors.As(err, &at) {
		fmt.Fprint(w, at.Excerpt())
	}
	fmt.Fprintf(w, "gbuild: error: %s\n", indented(err.Error()))
	remedy := hint.Of(err)
	if remedy == "" && errors.Is(err, syscall.ENOSPC) {
		remedy = "free some space there (gbuild prune, gbuild cache rm), or name another disk with --root and --cache-dir"
	}
	if remedy != "" {
		fmt.Fprintf(w, "gbuild: hint: %s\n", indented(remedy))
	}
}

// writeChain writes what an error wraps, for --debug.
func writeChain(w io.Writer, err error) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(w, "gbuild: debug: %T: %s\n", e, indented(e.Error()))
	}
}

// indented moves the lines after the first to the right, so that none of them, which a stranger may have written, passes
// for one that gbuild begins.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// SuggestFlag adds the flag that was probably meant.
func SuggestFlag(c *cobra.Command, err error) error {
	_, name, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return hint.Wrap(err, c.CommandPath()+" --help lists the flags")
	}
	var all []string
	c.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	if match, ok := suggest.Search(name, all, true); ok {
		return hint.Wrap(err, "did you mean --"+match+"?")
	}
	return hint.Wrap(err, c.CommandPath()+" --help lists the flags")
}
