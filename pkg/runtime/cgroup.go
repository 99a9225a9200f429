// This file owns control groups, in which limits are enforced. With version 1 of cgroups there is one hierarchy for each
// controller, with version 2 one for all. A group is made before host.Enter. It is locked as long as its maker lives; only a group
// that nobody has locked may be removed by others.

package runtime

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/thread"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// controllersOf are what the kernel must offer for l.
func controllersOf(l Limits) (list []string) {
	if l.Memory > 0 || l.MemoryReservation > 0 {
		list = append(list, "memory")
	}
	if l.CPUs > 0 || l.CPUShares > 0 {
		list = append(list, "cpu")
	}
	if l.Pids > 0 {
		list = append(list, "pids")
	}
	if l.CPUSet != "" || l.MemorySet != "" {
		list = append(list, "cpuset")
	}
	return list
}

const cpuPeriod = 100_000 // microseconds, as docker has it

// resourcesOf words limits for the library.
func resourcesOf(l Limits) *cgroups.Resources {
	r := &cgroups.Resources{Memory: l.Memory, MemoryReservation: l.MemoryReservation, CpusetCpus: l.CPUSet, CpusetMems: l.MemorySet,
		CpuShares: l.CPUShares, CpuWeight: cgroups.ConvertCPUSharesToCgroupV2Value(l.CPUShares)}
	if l.CPUs > 0 {
		r.CpuPeriod, r.CpuQuota = cpuPeriod, max(int64(l.CPUs*cpuPeriod), 1000) // the kernel takes no less
	}
	if l.Pids > 0 {
		r.PidsLimit = &l.Pids
	}
	return r
}

// Cgroup is a control group in which sandboxes can be limited. It is made before host.Enter, with the rights of the user of
// the host; the groups of its sandboxes are below it. Its lock says that its maker lives.
type Cgroup struct {
	// Path is what Sandbox.Cgroup takes: with version 1 of cgroups, below the own group of each hierarchy.
	Path string
	dirs []string // all directories of the group, one for each hierarchy
	lock *os.File // the lock on the first of them
}

const (
	cgroupPrefix = "gbuild."
	cgroupRoot   = "/sys/fs/cgroup"
	sandboxGroup = "sandbox" // the group of a sandbox, in that of its Cgroup
)

// MakeCgroup makes a group that can enforce l, and clears away those whose makers were killed. Where this user may not
// make one the error is a *host.Missing. The id must be unique on the host.
func MakeCgroup(id string, l Limits) (*Cgroup, error) {
	need := controllersOf(l)
	parents, path := ownGroups(), cgroupPrefix+id
	if cgroups.IsCgroup2UnifiedMode() {
		own, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
		if err != nil {
			return nil, fmt.Errorf("finding the own control group: %w", err)
		}
		parent := delegated(cgroupRoot, own[""], need)
		parents, need, path = map[string]string{"": parent}, []string{""}, filepath.Join("/", strings.TrimPrefix(parent, cgroupRoot), path)
	}
	c := &Cgroup{Path: path}
	for _, name := range slices.Sorted(maps.Keys(parents)) { // so that all lock in the same hierarchy
		if err := c.add(filepath.Join(parents[name], cgroupPrefix+id)); err != nil && slices.Contains(need, name) {
			return nil, errors.Join(missingCgroup(err), c.Remove())
		}
	}
	for _, name := range need {
		if parents[name] == "" {
			return nil, errors.Join(missingCgroup(fmt.Errorf("there is no hierarchy for %s", name)), c.Remove())
		}
	}
	for _, dir := range c.dirs {
		boundSwap(dir, l)
	}
	return c, nil
}

// add makes a directory of the group. The first one is locked; a sweep that comes between may remove it, and then it is
// made again.
func (c *Cgroup) add(dir string) error {
	if c.lock != nil {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		c.dirs = append(c.dirs, dir)
		return nil
	}
	sweepGroups(filepath.Dir(dir))
	for {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		f, err := lockGroup(dir, durable.Hold)
		if err == nil && host.Exists(dir) {
			c.lock, c.dirs = f, []string{dir}
			return nil
		}
		f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// lockGroup locks a group by one of durable's ways to hold a lock.
func lockGroup(dir string, lock func(*os.File, durable.Mode) error) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return f, lock(f, durable.Exclusive)
}

// sweepGroups removes what makers left that were killed: their locks can be had. It is no loss if it cannot.
func sweepGroups(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	for _, dir := range found {
		f, err := lockGroup(dir, durable.TryHold)
		if err == nil {
			for _, p := range ownGroups() {
				_ = removeGroup(filepath.Join(p, filepath.Base(dir)))
			}
			_ = removeGroup(dir)
		}
		f.Close()
	}
}

// Remove removes the group, in which no process may be left.
func (c *Cgroup) Remove() (err error) {
	for _, dir := range c.dirs {
		err = errors.Join(err, removeGroup(dir))
	}
	if c.lock != nil {
		c.lock.Close()
	}
	return err
}

// removeGroup removes a group and what is below it.
func removeGroup(dir string) error {
	if err := cgroups.RemovePath(dir); err != nil {
		return fmt.Errorf("removing control group: %w", err)
	}
	return nil
}

// ownGroups are the groups of this process in the hierarchies of version 1, by controller; that of version 2 beside them
// is "".
func ownGroups() map[string]string {
	all, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
	if err != nil || cgroups.IsCgroup2UnifiedMode() {
		return nil
	}
	groups := map[string]string{}
	if cgroups.IsCgroup2HybridMode() {
		groups[""] = filepath.Join(cgroupRoot, "unified", all[""])
	}
	for name := range all {
		if dir, err := cgroups.GetOwnCgroupPath(name); err == nil && name != "" {
			groups[name] = dir
		}
	}
	return groups
}

// delegated is the nearest group above this process (own, below root) that this user may write to and that hands the
// controllers down; else the root itself, where root may turn them on. With version 2 a process can only be moved by
// who may write to the group above both places, and a group with processes hands nothing down.
func delegated(root, own string, need []string) string {
	for dir := filepath.Join(root, own); strings.HasPrefix(dir, root+"/"); dir = filepath.Dir(dir) {
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		has := strings.Fields(string(b))
		lacks := slices.ContainsFunc(need, func(c string) bool { return !slices.Contains(has, c) })
		if !lacks && writable(dir) && writable(filepath.Join(dir, "cgroup.procs")) {
			return dir
		}
	}
	return root
}

func writable(name string) bool { return unix.Access(name, unix.W_OK) == nil }

// boundSwap bounds what the group swaps: by as much as it has memory, as docker does, where nothing else is asked for. Many kernels do not
// count swap; then it stays unbounded.
func boundSwap(dir string, l Limits) {
	memory, swap := l.Memory, l.swap()
	if memory == 0 || swap < 0 {
		return
	}
	set := func(file string, n int64) {
		_ = os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(n, 10)), 0)
	}
	if host.Exists(filepath.Join(dir, "memory.memsw.limit_in_bytes")) { // it must not be below the other
		set("memory.limit_in_bytes", memory)
		set("memory.memsw.limit_in_bytes", memory+swap)
	} else if host.Exists(filepath.Join(dir, "memory.swap.max")) {
		set("memory.swap.max", swap)
	}
}

// missingCgroup is the reason with the remedy for this user.
func missingCgroup(cause error) error {
	remedy := "as an ordinary user, limits need version 2 of cgroups"
	switch {
	case os.Geteuid() == 0:
		remedy = "mount the host's cgroups writable"
	case cgroups.IsCgroup2UnifiedMode():
		remedy = "systemd delegates one with: systemd-run --user --scope -p Delegate=yes gbuild ..."
	}
	return &host.Missing{What: "this user may not make a control group", Remedy: remedy, Cause: cause}
}

// cgroupOf is where libcontainer puts the sandbox: in no group of its own without Cgroup. There are no device rules: the package
// that would set them is not linked, and a user namespace could not.
func cgroupOf(id string, s *Sandbox) *cgroups.Cgroup {
	if s.Cgroup == "" {
		return &cgroups.Cgroup{Name: id, Rootless: true, Resources: &cgroups.Resources{}}
	}
	return &cgroups.Cgroup{Parent: s.Cgroup, Name: sandboxGroup, Rootless: true, Resources: resourcesOf(s.Limits)}
}

// closeCgroups makes the hierarchies read-only here. As root libcontainer would make a group in each of them all the same, and a
// gbuild that is killed would leave them; from read-only ones it keeps its hands. Before Linux 5.12 there is no such call, and
// that is no failure.
func closeCgroups() {
	_ = unix.MountSetattr(unix.AT_FDCWD, cgroupRoot, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// provideCgroups mounts control groups where none are, for this process and its sandboxes only: libcontainer wants to see some,
// also where it is to put nothing into them.
var provideCgroups = sync.OnceValue(func() error {
	mounts := host.Mounts()
	if strings.Contains(mounts, " - cgroup") {
		return nil
	}
	err := error(nil)
	if !strings.Contains(mounts, " /sys ") {
		err = unix.Mount("tmpfs", "/sys", "tmpfs", plain, "mode=755")
		err = errors.Join(err, os.MkdirAll(cgroupRoot, 0o755))
	}
	if err == nil {
		err = thread.Run(func() error { // a group at which the view begins may be mounted by who is root in a user namespace
			if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
				return err
			}
			return unix.Mount("cgroup", cgroupRoot, "cgroup2", plain|unix.MS_RDONLY, "")
		})
	}
	if err != nil {
		return &host.Missing{What: "no control groups are mounted here, and none can be", Remedy: "mount /sys and /sys/fs/cgroup around gbuild", Cause: err}
	}
	return nil
})

// tellOutOfMemory says so where the kernel has killed a process of the sandbox for its memory.
func tellOutOfMemory(s *Sandbox) {
	if s.Cgroup == "" || s.Limits.Memory == 0 || s.Notice == nil {
		return
	}
	events := filepath.Join(cgroupRoot, s.Cgroup, sandboxGroup, "memory.events")
	if own := ownGroups()["memory"]; own != "" {
		events = filepath.Join(own, s.Cgroup, sandboxGroup, "memory.oom_control")
	}
	b, _ := os.ReadFile(events)
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
			s.Notice(fmt.Sprintf("a process was killed because memory ran out: the limit is %d MiB", s.Limits.Memory>>20))
		}
	}
}
