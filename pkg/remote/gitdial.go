// This file owns the connections of git that are not http: git starts this program for each, in the place of ssh, or to
// connect for git://.

package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gbuild/gbuild/internal/netguard"
)

// The variables that tell such a process what it is for.
const (
	gitTrustVar = "_GBUILD_GIT_TRUSTS" // HOST:PORT that the user named, or empty; trustsAll where the host's network is granted
	gitSSHVar   = "_GBUILD_GIT_SSH"    // the options of ssh, a line each
	gitStallVar = "_GBUILD_GIT_STALL"  // how long a server may send nothing, as time.ParseDuration reads it

	trustsAll = "*"
)

// InitGit must be called early in main (and in TestMain). In a process that git started it makes the connection, and does
// not return.
func InitGit() {
	trusted, ok := os.LookupEnv(gitTrustVar)
	if !ok {
		return
	}
	d := &gitDialer{reach: &reach{open: trusted == trustsAll}, stall: defaultStall}
	d.reach.trusted.Store(trusted, true)
	if stall, err := time.ParseDuration(os.Getenv(gitStallVar)); err == nil {
		d.stall = stall
	}
	err := d.serve(os.Args[1:])
	var ended *exec.ExitError // ssh has said why
	switch {
	case errors.As(err, &ended):
		os.Exit(max(ended.ExitCode(), 1))
	case err != nil:
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// gitDialer makes one connection for git.
type gitDialer struct {
	reach *reach
	stall time.Duration // how long the server may send nothing, once it has sent something
}

// serve takes the arguments of ssh, [-o OPTION] [-p PORT] [USER@]HOST COMMAND, or those of git's own proxy command.
func (d *gitDialer) serve(args []string) error {
	if len(args) == 2 && isPort(args[1]) {
		return d.pipe(net.JoinHostPort(args[0], args[1]))
	}
	options, granted := os.LookupEnv(gitSSHVar)
	if !granted {
		return errors.New("ssh is not granted for this address")
	}
	host, port := sshTarget(args)
	c, err := d.reach.dial(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return explained(err)
	}
	at := c.RemoteAddr().(*net.TCPAddr).IP.String()
	c.Close()
	known := host
	if port != "22" {
		known = "[" + host + "]:" + port // as ssh itself looks it up
	}
	// The name is not asked for again: it might lead elsewhere by then.
	words := []string{"-F", "/dev/null", "-o", "HostName=" + at, "-o", "HostKeyAlias=" + known,
		"-o", fmt.Sprintf("ConnectTimeout=%.0f", max(d.stall.Seconds(), 1))} // up to the end of the key exchange
	for option := range strings.SplitSeq(options, "\n") {
		words = append(words, "-o", option)
	}
	return d.ssh(exec.Command("ssh", append(words, args...)...))
}

// ssh runs ssh, and ends it when the server is silent for too long: that may not be while somebody types a passphrase, so
// the time counts from the first byte on.
func (d *gitDialer) ssh(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	goruntime.LockOSThread() // the death signal is that of the thread
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var stalled atomic.Bool
	timer := time.AfterFunc(d.stall, func() { stalled.Store(true); _ = cmd.Process.Kill() })
	timer.Stop()
	_, err = io.Copy(os.Stdout, readerFunc(func(p []byte) (int, error) {
		n, err := out.Read(p)
		timer.Reset(d.stall)
		return n, err
	}))
	timer.Stop()
	if ended := cmd.Wait(); !stalled.Load() {
		return cmp.Or(ended, err)
	}
	return &StallError{d.stall}
}

// readerFunc is a function as an io.Reader.
type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// isPort tells the arguments of git's proxy command from those of ssh.
func isPort(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// sshTarget is where the arguments of ssh lead.
func sshTarget(args []string) (host, port string) {
	port = "22"
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-p" && i+1 < len(args):
			i++
			port = args[i]
		case a == "-o":
			i++
		case !strings.HasPrefix(a, "-"):
			return strings.Trim(a[strings.LastIndex(a, "@")+1:], "[]"), port
		}
	}
	return "", port
}

// pipe connects the standard input and output.
func (d *gitDialer) pipe(address string) error {
	c, err := d.reach.dial(context.Background(), "tcp", address)
	if err != nil {
		return explained(err)
	}
	defer c.Close()
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, readerFunc(func(p []byte) (int, error) {
		_ = c.SetReadDeadline(time.Now().Add(d.stall))
		return c.Read(p)
	}))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &StallError{d.stall}
	}
	return err
}

// explained adds to a refusal what opens it: it reaches the user as text of git's.
func explained(err error) error {
	var refused *netguard.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("%w (%s)", refused, refused.Hint())
	}
	return err
}
