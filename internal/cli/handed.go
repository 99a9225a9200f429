// This file owns how a command line goes on in another process of gbuild: in memory that only that process can read.

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/hint"
)

// Handed is what a process gives the one that goes on with its command, in memory: every user of the machine can read the
// arguments of a process, and a value of -e is there as long as a container runs.
type Handed struct {
	Args    []string          // The arguments of the command line, without the program.
	Streams map[string][]byte // The contents of pipes, by their names on the command line.
	FileEnv []string          // The variables that the env files of gbuild run set.
}

// handedVar has the number of the descriptor by which a process gets it.
const handedVar = "_GBUILD_HANDED"

// highFD is above the descriptors of the caller, and of the files that a child is given, where so many may be open.
func highFD() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < 200 {
		return int(limit.Cur / 2)
	}
	return 100
}

// give prepares what a process is to take over, and returns what its environment must have. The process inherits the
// descriptor because nothing says that it should not.
func (h Handed) give() (env string, err error) {
	fd, err := unix.MemfdCreate("handed", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("handing the command on: %w", err)
	}
	f := os.NewFile(uintptr(fd), "handed")
	defer f.Close()
	if err := json.NewEncoder(f).Encode(h); err != nil {
		return "", fmt.Errorf("handing the command on: %w", err)
	}
	if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD, highFD()); err != nil {
		return "", fmt.Errorf("handing the command on: %w", err)
	}
	return handedVar + "=" + strconv.Itoa(fd), nil
}

// TakeOver is the other end of App.HandOn; the process that the user started has been given nothing. What this process
// starts inherits nothing by accident.
func TakeOver(args []string) (Handed, error) {
	h := Handed{Args: args}
	text, ok := os.LookupEnv(handedVar)
	if !ok {
		return h, nil
	}
	os.Unsetenv(handedVar)
	fd, err := strconv.Atoi(text)
	if err == nil {
		f := os.NewFile(uintptr(fd), "handed")
		defer f.Close()
		err = json.NewDecoder(io.NewSectionReader(f, 0, math.MaxInt64)).Decode(&h)
	}
	if err != nil {
		return h, hint.Errorf("unset "+handedVar+": gbuild sets it for itself", "taking over the command: %w", err)
	}
	return h, nil
}

// ShownArgs are the arguments that others see of a process that goes on with this command.
func ShownArgs(words ...string) []string { return append([]string{os.Args[0]}, words...) }
