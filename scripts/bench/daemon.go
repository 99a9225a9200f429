// This file owns a dockerd of the benchmark's own, and what its processes used.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a dockerd of our own: its data, its socket, no change to the host's network.
type daemon struct {
	dir string
	cmd *exec.Cmd
}

func (d *daemon) start(ctx context.Context) error {
	if d == nil || d.cmd != nil {
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(d.dir + "/log")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("dockerd", "--iptables=false", "--bridge=none", "--data-root", d.dir+"/data", "--exec-root", d.dir+"/exec",
		"--host", "unix://"+d.dir+"/sock", "--pidfile", d.dir+"/pid")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting dockerd: %w", err)
	}
	d.cmd = cmd
	for range 300 {
		client := exec.CommandContext(ctx, "docker", "--host", "unix://"+d.dir+"/sock", "version")
		if client.Run() == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.stop()
	return fmt.Errorf("dockerd does not answer: %s", lastLine(d.dir+"/log"))
}

func (d *daemon) stop() {
	if d == nil || d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	d.cmd = nil
	// dockerd leaves the binding of its data on itself behind, and that of the network namespace of its host.
	_ = syscall.Unmount(d.dir+"/data", 0)
	_ = syscall.Unmount(d.dir+"/exec/netns/default", 0)
}

// usage is what the daemon and its containerd have used so far; the memory is that since the last call.
func (d *daemon) usage() usage {
	var u usage
	if d == nil || d.cmd == nil {
		return u
	}
	for _, pid := range append(childrenOf(d.cmd.Process.Pid), d.cmd.Process.Pid) {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		u.CPU += cpuOf(proc)
		u.Peak = max(u.Peak, highWater(proc))
		_ = os.WriteFile(proc+"/clear_refs", []byte("5"), 0) // begins a new high-water mark (proc_pid_clear_refs(5))
	}
	return u
}

func childrenOf(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var all []int
	for _, path := range stats {
		if fields := statOf(filepath.Dir(path)); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			all = append(all, child)
		}
	}
	return all
}

// statOf are the fields of /proc/PID/stat from the state on (proc_pid_stat(5), number 3).
func statOf(proc string) []string {
	data, _ := os.ReadFile(proc + "/stat")
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.Fields(rest)
}

// cpuOf is the time of a process and of the children that it waited for, in hundredths of a second (fields 14 to 17).
func cpuOf(proc string) time.Duration {
	fields := statOf(proc)
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] {
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
