package main

import (
	"strings"
	"testing"
)

// TestAttachAndLeave goes to a shell in a container, leaves it by keys, comes back and ends it.
func TestAttachAndLeave(t *testing.T) {
	ref, root := shellImage(t)
	gbuild := func(args ...string) string {
		t.Helper()
		out, err := gbuildCommand(t, root, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	p := startOnPTY(t, root, "run", "-it", "--name", "shell", "--detach-keys", "ctrl-x,q", "-e", "PS1=ready> ", ref, "sh")
	p.expect("ready> ")
	p.resize(40, 120)
	p.send("stty size; hidden=here\r")
	p.expect("ready> ")
	p.send("\x18q")
	p.expect("read escape sequence")
	if code := p.exit(); code != 0 {
		t.Errorf("who left ended with %d", code)
	}
	if state := gbuild("ps", "--format", "{{.Names}} {{.State}}"); state != "shell running" {
		t.Errorf("the container is %q", state)
	}

	p = startOnPTY(t, root, "attach", "shell")
	p.send("echo is $hidden\r")
	p.expect("is here")
	p.send("stty size\r")
	p.expect("31 97") // the size of the new terminal
	p.send("\x10\x11")
	p.expect("read escape sequence")
	if code := p.exit(); code != 0 {
		t.Errorf("who left ended with %d", code)
	}

	p = startOnPTY(t, root, "attach", "shell")
	p.send("exit 6\r")
	if code := p.exit(); code != 6 {
		t.Errorf("exit code %d, want 6", code)
	}
	if left := gbuild("ps", "-aq"); left != "" {
		t.Errorf("the container of -it stays: %q", left)
	}
}
