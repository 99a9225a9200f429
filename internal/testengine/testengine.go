// Package testengine finds the Docker Engine that tests need: the one that runs, or one of the tests' own, where it is installed.
package testengine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// script reaches an engine, and keeps it as long as its input is open. Tests are executed in the directory of their package.
const script = "../../scripts/engine.sh"

// Engine is an engine that the tests reach; its zero value is none.
type Engine struct {
	keeper *exec.Cmd
	open   io.Closer // the input of the keeper
	dir    string
}

// Reach finds a daemon that answers, or starts one, for this process and what it starts.
func (e *Engine) Reach() (err error) {
	if e.dir, err = os.MkdirTemp("/var/tmp", "gbuild-engine-"); err != nil {
		return err
	}
	var said bytes.Buffer
	e.keeper = exec.Command(script, e.dir)
	e.keeper.Stderr = &said
	if e.open, err = e.keeper.StdinPipe(); err != nil {
		return err
	}
	out, err := e.keeper.StdoutPipe()
	if err == nil {
		err = e.keeper.Start()
	}
	if err != nil {
		return err
	}
	host, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = e.keeper.Wait()
		return fmt.Errorf("no Docker Engine: %s", bytes.TrimSpace(said.Bytes()))
	}
	if host = strings.TrimSpace(host); host != "" {
		os.Setenv("DOCKER_HOST", host)
	}
	return nil
}

// Stop ends the daemon, if the tests started one, and removes what it had.
func (e *Engine) Stop() {
	if e.open != nil {
		e.open.Close()
		_ = e.keeper.Wait()
	}
	if e.dir != "" {
		os.RemoveAll(e.dir)
	}
}
