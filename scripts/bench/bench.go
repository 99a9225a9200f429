// This file owns what all workloads share: the directories, the registry, and as whom builders run.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is everything that the workloads share.
type bench struct {
	options
	self, policy, contexts string
	isRoot                 bool
	home, login            string
	credential             *syscall.Credential // of the ordinary user; nil: run as the caller
	tools                  []*tool
	results                *results
	indexURL               string
	closeIndex             func()
	began                  time.Time
}

func osPath() string { return os.Getenv("PATH") }

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, isRoot: os.Geteuid() == 0, began: time.Now()}
	b.contexts, b.policy = filepath.Join(b.dir, "contexts"), filepath.Join(b.dir, "policy.json")
	for _, dir := range []string{b.dir, b.contexts, b.dir + "/logs"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := b.findUser(); err != nil {
		return nil, err
	}
	if err := b.copyBinaries(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o644); err != nil {
		return nil, err
	}
	b.results = loadResults(filepath.Join(b.dir, "results-"+b.size.name+".json"))
	b.results.Machine, b.results.Date = machineFacts(b.dir, b.gbuild), time.Now().UTC().Format("2006-01-02")
	if err := b.prepare(ctx); err != nil {
		b.close()
		return nil, err
	}
	if err := b.choose(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) findUser() error {
	who, err := user.Current()
	if err == nil && b.user != "" && b.isRoot {
		who, err = user.Lookup(b.user)
	}
	if err != nil {
		return fmt.Errorf("looking up the user to run as: %w", err)
	}
	b.home, b.login = who.HomeDir, who.Username
	if b.user == "" || !b.isRoot {
		return nil
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	b.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// copyBinaries puts this program and gbuild where the ordinary user can execute them.
func (b *bench) copyBinaries() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(b.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, from := range []*string{&self, &b.gbuild} {
		to := filepath.Join(bin, filepath.Base(*from))
		data, err := os.ReadFile(*from)
		if err != nil {
			return err
		}
		_ = os.Remove(to)
		if err := os.WriteFile(to, data, 0o755); err != nil {
			return err
		}
		*from = to
	}
	b.self = self
	return nil
}

// as is a command of t: as the ordinary user unless t is for root, with nothing of the caller's environment but PATH.
func (b *bench) as(ctx context.Context, t *tool, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = append([]string{"PATH=" + osPath(), "HOME=" + b.home, "USER=" + b.login}, t.env...)
	if !t.root && b.credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.credential}
	} else if b.credential != nil {
		cmd.Env = append(cmd.Env, "HOME=/root", "USER=root")
	}
	return cmd
}

// forget empties what t keeps, and starts its daemon where it has one.
func (b *bench) forget(ctx context.Context, t *tool) error {
	t.daemon.stop()
	for _, dir := range t.dirs {
		if err := b.removeAll(ctx, dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if !t.root && b.credential != nil {
			if err := os.Chown(dir, int(b.credential.Uid), int(b.credential.Gid)); err != nil {
				return err
			}
		}
	}
	return t.daemon.start(ctx)
}

// forgetAll leaves no state and no daemon of any builder behind, nor what they pushed.
func (b *bench) forgetAll(ctx context.Context) {
	for _, t := range b.tools {
		_ = b.forget(ctx, t) // the next workload says it, if it cannot be
	}
	b.cleanRegistry()
}

// removeAll removes a tree that may hold files of subordinate ids.
func (b *bench) removeAll(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir); err == nil || b.isRoot {
		return err
	}
	out, err := exec.CommandContext(ctx, "unshare", "--map-auto", "--map-root-user", "rm", "-rf", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("removing %s: %w: %s", dir, err, out)
	}
	return nil
}

// close ends what runs for this bench; what the builders kept goes, what the workloads need stays for the next time.
func (b *bench) close() {
	for _, t := range b.tools {
		t.daemon.stop()
		for _, dir := range t.dirs {
			_ = b.removeAll(context.Background(), dir)
		}
	}
	if b.closeIndex != nil {
		b.closeIndex()
	}
}

func (b *bench) tool(name string) *tool {
	for _, t := range b.tools {
		if t.name == name {
			return t
		}
	}
	return nil
}

func (b *bench) wants(t *tool) bool {
	return len(b.options.tools) == 0 || t.name == "gbuild" || slices.ContainsFunc(b.options.tools, func(w string) bool { return strings.HasPrefix(t.name, w) })
}

// ref is the name under which t pushes; a repository that is new gets all blobs again.
func (b *bench) ref(workload string, t *tool) string {
	return fmt.Sprintf("%s/bench/%s-%s:latest", b.registry, strings.ToLower(workload), t.slug())
}

// slug is the name of t as a part of paths and references.
func (t *tool) slug() string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(t.name)), "-")
}

func (b *bench) log(t *tool, row string) string {
	return filepath.Join(b.dir, "logs", row+"-"+t.slug()+".log")
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: [%4.0fs] %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
