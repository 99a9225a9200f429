// Package testengine finds the Docker Engine that tests need: the one that runs, or one of the tests' own, where it is installed.
package testengine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Engine is a daemon that the tests started; its zero value is none.
type Engine struct {
	daemon *exec.Cmd
	ended  chan struct{} // is closed when the daemon has ended
	dir    string
}

// Reach finds a daemon that answers, or starts one.
func (e *Engine) Reach() error {
	out, err := exec.Command("docker", "info").CombinedOutput()
	if err == nil {
		return nil
	}
	if _, missing := exec.LookPath("dockerd"); missing != nil || errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return e.start()
}

// start starts a daemon that shares nothing with another one, and makes no bridge and no rules in the host's network.
func (e *Engine) start() (err error) {
	if e.dir, err = os.MkdirTemp("/var/tmp", "gbuild-engine-"); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(e.dir, name) }
	log, err := os.Create(at("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	socket := "unix://" + at("socket")
	e.daemon = exec.Command("dockerd", "--iptables=false", "--bridge=none", "--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid"), "--host", socket)
	e.daemon.Stdout, e.daemon.Stderr = log, log
	if err := e.daemon.Start(); err != nil {
		return err
	}
	e.ended = make(chan struct{})
	go func() {
		_ = e.daemon.Wait()
		close(e.ended)
	}()
	os.Setenv("DOCKER_HOST", socket)
	return e.await(log.Name())
}

// await waits until the daemon answers. Its log says why it does not.
func (e *Engine) await(log string) error {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		select {
		case <-e.ended:
			text, _ := os.ReadFile(log)
			return fmt.Errorf("dockerd ended: %s", text[max(0, len(text)-500):])
		default:
		}
		if exec.Command("docker", "info").Run() == nil {
			return nil
		}
	}
	return errors.New("dockerd does not answer")
}

// Stop ends the daemon, if the tests started one, and removes what it had.
func (e *Engine) Stop() {
	if e.daemon != nil {
		_ = e.daemon.Process.Signal(syscall.SIGTERM)
		select {
		case <-e.ended:
		case <-time.After(20 * time.Second):
			_ = e.daemon.Process.Kill()
			<-e.ended
		}
	}
	if e.dir != "" {
		_ = syscall.Unmount(filepath.Join(e.dir, "exec", "netns", "default"), syscall.MNT_DETACH) // of containers with the host's network
		os.RemoveAll(e.dir)
	}
}
