// This file owns the terminal of the caller, which the command of a container may have for a while. The command has one of its
// own, of which gbuild holds the other end: so the caller's is made raw, that nothing is echoed or turned into a signal
// twice, and follows only in its size.

package cli

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// OpenTerminal makes the caller's terminal raw, where there is one and input is passed on, and follows its size.
func OpenTerminal(stdin io.Reader, stdout io.Writer, input bool) (*runtime.Terminal, func(), error) {
	t := &runtime.Terminal{}
	restore := func() {}
	// The size is that of the output, or of the input where the output is a pipe.
	out, ok := stdout.(*os.File)
	if !ok || !IsTerminal(out) {
		out, _ = stdin.(*os.File)
	}
	if !IsTerminal(out) {
		return t, restore, nil
	}
	t.Size = sizeOf(out)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	sizes := make(chan runtime.TerminalSize, 1)
	t.Resize = sizes
	go func() {
		// This goroutine stays until the process ends: signal.Stop does not close the channel.
		for range resized {
			sizes <- sizeOf(out)
		}
	}()
	in, _ := stdin.(*os.File)
	if !input || !IsTerminal(in) {
		return t, func() { signal.Stop(resized) }, nil
	}
	saved, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, nil, err
	}
	return t, func() { signal.Stop(resized); _ = term.Restore(int(in.Fd()), saved) }, nil
}

// sizeOf is zero where the size cannot be had.
func sizeOf(f *os.File) runtime.TerminalSize {
	cols, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return runtime.TerminalSize{}
	}
	return runtime.TerminalSize{Rows: uint16(rows), Cols: uint16(cols)}
}

// KeepTerminal returns a function that makes the terminal again what it is now.
func KeepTerminal(stdin any) (restore func()) {
	in, ok := stdin.(*os.File)
	if !ok {
		return func() {}
	}
	saved, err := term.GetState(int(in.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(in.Fd()), saved) }
}
