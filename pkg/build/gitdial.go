package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/netguard"
)

// This file owns the connections of git that are not http: git starts this program for each, in the place of ssh, or to
// connect for git://.

// The variables that tell such a process what it is for.
const (
	gitTrustVar = "_GBUILD_GIT_TRUSTS" // HOST:PORT that the user named, or empty
	gitSSHVar   = "_GBUILD_GIT_SSH"    // the command line of ssh, for a shell
)

// InitGit must be called early in main (and in TestMain). In a process that git started it makes the connection, and does
// not return.
func InitGit() {
	trusted, ok := os.LookupEnv(gitTrustVar)
	if !ok {
		return
	}
	r := &reach{}
	r.trusted.Store(trusted, true)
	err := r.serveGit(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveGit takes the arguments of ssh, [-o OPTION] [-p PORT] [USER@]HOST COMMAND, or those of git's own proxy command.
func (r *reach) serveGit(args []string) error {
	if len(args) == 2 && isPort(args[1]) {
		return r.pipe(net.JoinHostPort(args[0], args[1]))
	}
	host, port := sshTarget(args)
	c, err := r.dial(context.Background(), "tcp", net.JoinHostPort(host, port))
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
	words := append([]string{"sh", "-c", os.Getenv(gitSSHVar) + ` "$@"`, "sh", "-o", "HostName=" + at, "-o", "HostKeyAlias=" + known}, args...)
	return unix.Exec("/bin/sh", words, os.Environ())
}

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
func (r *reach) pipe(address string) error {
	c, err := r.dial(context.Background(), "tcp", address)
	if err != nil {
		return explained(err)
	}
	defer c.Close()
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, c)
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
