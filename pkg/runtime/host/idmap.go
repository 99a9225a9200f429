// This file owns the ids of users: the maps of a user namespace, and the subordinate ids that a user has for it. early.c does
// the same for the common case; what is decided here must stay true there.

package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// IDRange is one line of a uid_map or gid_map; see user_namespaces(7).
type IDRange struct {
	Inside, Outside uint32 // the first id in the namespace, and who that is outside of it
	Count           uint32 // ids that follow each other
}

// idMaps are both maps of a user namespace.
type idMaps struct {
	UIDs, GIDs []IDRange
	// Helpers says that newuidmap and newgidmap must write the maps, because the caller has no privilege.
	Helpers bool
	// NoGroups says that nobody in the namespace may leave a group, without which the kernel lets only helpers map groups.
	NoGroups bool
}

// subordinateMaps make the user root, and their subordinate ids the others.
func subordinateMaps(uid, gid int) (*idMaps, *Missing) {
	if m := missingMapper(); m != nil {
		return nil, m
	}
	uids, m := subordinateMap("/etc/subuid", uid, uint32(uid))
	if m != nil {
		return nil, m
	}
	gids, m := subordinateMap("/etc/subgid", uid, uint32(gid))
	if m != nil {
		return nil, m
	}
	return &idMaps{UIDs: uids, GIDs: gids, Helpers: true}, nil
}

// singleMaps make the user root, and there is nobody else.
func singleMaps() *idMaps {
	return &idMaps{UIDs: []IDRange{{0, uint32(os.Geteuid()), 1}}, GIDs: []IDRange{{0, uint32(os.Getegid()), 1}}, NoGroups: true}
}

// noNewPrivileges says whether no program that this process starts can have more rights than it.
func noNewPrivileges() bool {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return err == nil && set == 1
}

// SingleID says whether there is but one user, or one group, in the user namespace of this process: then no file can be given
// to another. The kernel says so itself, however the namespace came to be.
func SingleID() bool { return singleID() }

var singleID = sync.OnceValue(func() bool {
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		ranges, err := ParseIDMap(ReadSetting(file))
		if err == nil && len(ranges) == 1 && ranges[0].Count == 1 {
			return true
		}
	}
	return false
})

// identityMaps maps every id that this process has to itself, so that a root which is itself in a namespace can nest.
func identityMaps() *idMaps {
	return &idMaps{UIDs: identityMap("/proc/self/uid_map"), GIDs: identityMap("/proc/self/gid_map")}
}

// identityMap reads a map of this process, and maps what it has inside to itself. Without /proc there is none, and no
// namespace can be mapped either.
func identityMap(path string) []IDRange {
	ranges, _ := ParseIDMap(ReadSetting(path))
	for i := range ranges {
		ranges[i].Outside = ranges[i].Inside
	}
	return ranges
}

// ParseIDMap reads the text of a uid_map or gid_map.
func ParseIDMap(s string) ([]IDRange, error) {
	var ranges []IDRange
	for line := range strings.Lines(s) {
		var r IDRange
		if _, err := fmt.Sscan(line, &r.Inside, &r.Outside, &r.Count); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// IsMapped says whether an id exists in a namespace with that map.
func IsMapped(ranges []IDRange, id int) bool {
	for _, r := range ranges {
		if int64(id) >= int64(r.Inside) && int64(id) < int64(r.Inside)+int64(r.Count) {
			return true
		}
	}
	return false
}

// HasGroup says whether a group id exists in this user namespace.
func HasGroup(gid int) bool {
	ranges, _ := ParseIDMap(ReadSetting("/proc/self/gid_map"))
	return IsMapped(ranges, gid)
}

// subordinateMap is 0 -> own, then 1.. -> the ranges that the file grants to the user with this uid, by name or number.
func subordinateMap(file string, uid int, own uint32) ([]IDRange, *Missing) {
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, missingSubordinate(file, name)
	}
	if err != nil {
		return nil, unreadable(file, fmt.Errorf("reading subordinate ids: %w", err))
	}
	defer f.Close()
	granted, err := parseSubordinate(f, name, strconv.Itoa(uid))
	if err != nil {
		return nil, unreadable(file, fmt.Errorf("reading subordinate ids from %s: %w", file, err))
	}
	if len(granted) == 0 {
		return nil, missingSubordinate(file, name)
	}
	return layOut(own, granted), nil
}

// maxMapLines is the most lines that the kernel takes in one map (since 4.15).
const maxMapLines = 340

// layOut puts the caller's own id at 0 and the granted ranges, one after another, from 1 on.
func layOut(own uint32, granted []IDRange) []IDRange {
	out := []IDRange{{0, own, 1}}
	next := uint32(1)
	for _, g := range granted {
		if len(out) == maxMapLines || g.Count > ^uint32(0)-next {
			break
		}
		out = append(out, IDRange{next, g.Outside, g.Count})
		next += g.Count
	}
	return out
}

// parseSubordinate reads the ranges of one user from a file in the format of subuid(5). Lines of others, and
// malformed ones, are passed over as shadow-utils does. A range that is listed twice counts once.
func parseSubordinate(r io.Reader, names ...string) ([]IDRange, error) {
	var out []IDRange
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Split(strings.TrimSpace(sc.Text()), ":")
		if len(f) != 3 || !slices.Contains(names, f[0]) {
			continue
		}
		start, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil || count == 0 || start+count > 1<<32-1 {
			continue
		}
		r := IDRange{Outside: uint32(start), Count: uint32(count)}
		if !overlaps(out, r) {
			out = append(out, r)
		}
	}
	return out, sc.Err()
}

func overlaps(have []IDRange, r IDRange) bool {
	return slices.ContainsFunc(have, func(h IDRange) bool {
		return r.Outside < h.Outside+h.Count && h.Outside < r.Outside+r.Count
	})
}

// apply writes the maps of the process pid, which was made in a user namespace of its own by this process.
func (m *idMaps) apply(pid int) error {
	if m.Helpers {
		return m.applyHelpers(pid)
	}
	if m.NoGroups {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/setgroups", pid), []byte("deny"), 0); err != nil {
			return fmt.Errorf("mapping ids: %w", err)
		}
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", pid), formatIDMap(m.UIDs), 0); err != nil {
		return fmt.Errorf("mapping user ids: %w", err)
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/gid_map", pid), formatIDMap(m.GIDs), 0); err != nil {
		return fmt.Errorf("mapping group ids: %w", err)
	}
	return nil
}

func formatIDMap(ranges []IDRange) []byte {
	var b strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&b, "%d %d %d\n", r.Inside, r.Outside, r.Count)
	}
	return []byte(b.String())
}

// applyHelpers has the maps written by the programs that may do so, setuid root: the kernel lets an ordinary user map one id.
func (m *idMaps) applyHelpers(pid int) error {
	if err := runMapper("newuidmap", pid, m.UIDs); err != nil {
		return err
	}
	return runMapper("newgidmap", pid, m.GIDs)
}

func runMapper(tool string, pid int, ranges []IDRange) error {
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		for _, n := range []uint32{r.Inside, r.Outside, r.Count} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	r := &refusal{at: stepMap, err: err, tool: tool, said: strings.TrimSpace(string(out))}
	r.setuid, r.nosuid = setuidOf(tool)
	return r
}

// setuidOf says whether a program is setuid, and whether its file system is mounted so that this does not count.
func setuidOf(tool string) (setuid, nosuid bool) {
	file, err := exec.LookPath(tool)
	if err != nil {
		return false, false
	}
	var mount unix.Statfs_t
	info, err := os.Stat(file)
	return err == nil && info.Mode()&os.ModeSetuid != 0, unix.Statfs(file, &mount) == nil && mount.Flags&unix.ST_NOSUID != 0
}

// missingMapper says which of the programs that write maps is not installed, or nil.
func missingMapper() *Missing {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return &Missing{
				What:   tool + " is not installed, so only one user id can be used",
				Remedy: "install it: apt-get install uidmap (Debian, Ubuntu), dnf install shadow-utils (Fedora), apk add shadow-uidmap (Alpine)",
			}
		}
	}
	return nil
}

// unreadable says that nobody can know which ids a file grants.
func unreadable(file string, err error) *Missing {
	return &Missing{What: err.Error(), Remedy: "make " + file + " readable"}
}

// missingSubordinate is about the user with that name; a number is one whom /etc/passwd does not know.
func missingSubordinate(file, name string) *Missing {
	if _, err := strconv.Atoi(name); err == nil {
		return &Missing{What: fmt.Sprintf("uid %s has no account here, and so no subordinate ids", name),
			Remedy: "run as root or as a user of /etc/passwd who has ranges in /etc/subuid and /etc/subgid"}
	}
	flag := "--add-subuids"
	if strings.HasSuffix(file, "gid") {
		flag = "--add-subgids"
	}
	return &Missing{
		What:   fmt.Sprintf("%s has no subordinate ids in %s", name, file),
		Remedy: fmt.Sprintf("run: sudo usermod %s 100000-165535 %s", flag, name),
	}
}
