package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gbuild/gbuild/internal/testimage"
)

// sshServeCommand is ssh-serve NAME DIR: a server at $NAME_URL, whose key is the line $NAME_KNOWN for a known_hosts file.
// It takes the key in the file NAME.key, and writes to NAME.log a line for each key that is offered.
func sshServeCommand(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	log := ts.MkAbs(name + ".log")
	ts.Check(os.WriteFile(log, nil, 0o666))
	var mu sync.Mutex
	s, err := testimage.NewGitOverSSH(ts.MkAbs(args[1]), func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			fmt.Fprintln(f, text)
			f.Close()
		}
	})
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Check(os.WriteFile(ts.MkAbs(name+".key"), s.Key, 0o600))
	ts.Setenv(name+"_URL", "ssh://git@"+s.Address)
	ts.Setenv(name+"_KNOWN", s.Known)
}
