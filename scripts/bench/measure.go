// This file owns measuring: a process of its own runs the commands, and asks the kernel what they used.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// task is what the measuring child is asked to do: the commands one after the other.
type task struct {
	Commands [][]string
	Watch    []string // names of executables whose memory counts; none: everything that runs
}

// usage is what a task took.
type usage struct {
	Wall, CPU time.Duration // CPU is user and system time
	Peak      int64         // resident bytes of the largest process
}

func (u *usage) add(v usage) {
	u.Wall, u.CPU, u.Peak = u.Wall+v.Wall, u.CPU+v.CPU, max(u.Peak, v.Peak)
}

// measureMain runs in a process of its own, because the kernel counts the memory of a parent as its child's until the
// child executes something: this one is small.
func measureMain(ctx context.Context) error {
	var t task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	var total usage
	for _, argv := range t.Commands {
		u, err := measureOne(ctx, argv, t.Watch)
		if err != nil {
			return fmt.Errorf("running %s: %w", strings.Join(argv, " "), err)
		}
		total.add(u)
	}
	return json.NewEncoder(os.Stdout).Encode(total)
}

func measureOne(ctx context.Context, argv, watch []string) (usage, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	watched := startWatch(watch)
	began := time.Now()
	err := cmd.Run()
	u := usage{Wall: time.Since(began), Peak: watched()}
	if cmd.ProcessState != nil {
		u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && len(watch) == 0 {
			u.Peak = r.Maxrss << 10
		}
	}
	return u, err
}

// startWatch looks every tenth of a second at the processes of these names; the function that it returns ends that and
// says what the largest of them held.
func startWatch(names []string) func() int64 {
	if len(names) == 0 {
		return func() int64 { return 0 }
	}
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for {
			select {
			case <-stop:
				result <- peak
				return
			case <-time.After(100 * time.Millisecond):
				peak = max(peak, largest(names))
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// largest is the high-water mark of the largest process now whose executable has one of these names.
func largest(names []string) int64 {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	var peak int64
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !slices.Contains(names, executable(exe)) {
			continue
		}
		peak = max(peak, highWater(filepath.Dir(link)))
	}
	return peak
}

// executable is the name of what /proc/PID/exe points at, which may be gone or have been in memory only.
func executable(link string) string {
	name := strings.TrimSuffix(filepath.Base(link), " (deleted)")
	return strings.TrimPrefix(name, "memfd:")
}

// highWater is VmHWM of the process at /proc/PID (proc_pid_status(5)), 0 when it is gone.
func highWater(proc string) int64 {
	status, _ := os.ReadFile(proc + "/status")
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10
}

// measure runs commands of t in a measuring child, as the ordinary user where t can. What they print goes to log.
func (b *bench) measure(ctx context.Context, t *tool, log string, watch bool, commands ...[]string) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	job := task{Commands: commands}
	if watch {
		job.Watch = t.watch
	}
	in, err := json.Marshal(job)
	if err != nil {
		return usage{}, err
	}
	out, err := os.Create(log)
	if err != nil {
		return usage{}, err
	}
	defer out.Close()
	cmd := b.as(ctx, t, b.self, "measure")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), out
	syscall.Sync() // what the one before wrote is not to be this one's burden
	before := t.daemon.usage()
	answer, err := cmd.Output()
	if err != nil {
		return usage{}, errors.New(lastLine(log))
	}
	var u usage
	if err := json.Unmarshal(answer, &u); err != nil {
		return u, fmt.Errorf("reading what the measuring child says: %w", err)
	}
	after := t.daemon.usage()
	u.CPU += after.CPU - before.CPU
	u.Peak = max(u.Peak, after.Peak)
	return u, nil
}

// lastLine is the reason why something failed, as far as a line of a table can hold it.
func lastLine(log string) string {
	data, _ := os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "bench:") {
			return line[:min(len(line), 200)]
		}
	}
	return "it said nothing"
}
