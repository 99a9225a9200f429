// This file owns the look-up of users and groups in an image's /etc/passwd and /etc/group. It stays ours although libraries have
// one: these files may be hostile, so what is read of them is bounded and no list of accounts is built; ids beyond 31 bits are
// refused, since they wrap around to root elsewhere (CVE-2024-40635); and the user's group is always among the groups
// (CVE-2023-25173).

package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Identity is the user that a command runs as.
type Identity struct {
	UID, GID int
	Groups   []int // supplementary, GID among them
	Home     string
}

// maxAccounts is the most that is read of an image's /etc/passwd or /etc/group.
const maxAccounts = 10 << 20

// maxID is the largest id: beyond it programs that keep ids in an int wrap around, to root (CVE-2024-40635).
const maxID = 1<<31 - 1

// LookupUser finds the user of a USER instruction or of --user: a name or number, then optionally a colon and a group.
// open opens regular files of the image; a missing file counts as empty. As in Docker an unknown number is taken as it is,
// with group 0, and supplementary groups come from /etc/group only when no group is given; an empty user is root, an empty
// group none; root is the number 0 where the other of the two is a number, or root, too. Unknown names and numbers out of
// range are errors.
func LookupUser(open func(path string) (io.ReadCloser, error), user string) (Identity, error) {
	name, group, _ := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	if strings.Contains(group, ":") {
		return Identity{}, fmt.Errorf("user %q is not USER or USER:GROUP", user)
	}
	if u, g := RootIsZero(name), RootIsZero(group); isID(u) && isID(g) {
		name, group = u, g
	}
	accounts, err := readAccounts(open, "/etc/passwd", 7)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Home: "/"}
	account, err := id.setUser(accounts, name)
	if err != nil {
		return Identity{}, err
	}
	groups, err := readAccounts(open, "/etc/group", 4)
	if err != nil {
		return Identity{}, err
	}
	if group != "" {
		id.GID, err = findGroup(groups, group)
	} else if account != "" {
		id.Groups, err = memberships(groups, account)
	}
	if !slices.Contains(id.Groups, id.GID) {
		// Else a file that is closed to the group would be open to it, as others (CVE-2023-25173).
		id.Groups = append([]int{id.GID}, id.Groups...)
	}
	return id, err
}

// RootIsZero gives an id its number where that is known without an account.
func RootIsZero(id string) string {
	if id == "root" {
		return "0"
	}
	return id
}

// isID says whether an id is a number that can be one.
func isID(id string) bool {
	_, err := parseID(id)
	return err == nil
}

// setUser sets uid, gid and home from the account, and returns its name, under which /etc/group lists it. Digits are
// always a number, even where an account has them for a name.
func (id *Identity) setUser(accounts table, name string) (account string, err error) {
	uid, numErr := parseID(name)
	if numErr != nil && !errors.Is(numErr, errNotNumber) {
		return "", numErr
	}
	f := accounts.find(func(f []string) bool {
		if numErr != nil {
			return f[0] == name
		}
		n, err := parseID(f[2])
		return err == nil && n == uid
	})
	if f == nil && numErr != nil {
		return "", fmt.Errorf("the image has no user %q in /etc/passwd", name)
	}
	if id.UID = uid; f == nil {
		return "", nil
	}
	var err1, err2 error
	id.UID, err1 = parseID(f[2])
	id.GID, err2 = parseID(f[3])
	if f[5] != "" {
		id.Home = f[5]
	}
	if err := errors.Join(err1, err2); err != nil {
		return "", fmt.Errorf("reading the account of %q in /etc/passwd: %w", name, err)
	}
	return f[0], nil
}

// LookupGroups finds further groups of the image for a user, by name or number, as docker does.
func LookupGroups(open func(path string) (io.ReadCloser, error), names []string) (ids []int, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	groups, err := readAccounts(open, "/etc/group", 4)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id, err := findGroup(groups, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// findGroup finds the number of a group; digits are always a number.
func findGroup(groups table, name string) (int, error) {
	gid, err := parseID(name)
	if !errors.Is(err, errNotNumber) {
		return gid, err
	}
	f := groups.find(func(f []string) bool { return f[0] == name })
	if f == nil {
		return 0, fmt.Errorf("the image has no group %q in /etc/group", name)
	}
	if gid, err = parseID(f[2]); err != nil {
		return 0, fmt.Errorf("reading group %q in /etc/group: %w", name, err)
	}
	return gid, nil
}

// memberships are the groups that list the account.
func memberships(groups table, account string) (ids []int, err error) {
	groups.find(func(f []string) bool {
		if !slices.Contains(strings.Split(f[3], ","), account) {
			return false
		}
		gid, parseErr := parseID(f[2])
		if parseErr != nil {
			err = fmt.Errorf("reading group %q in /etc/group: %w", f[0], parseErr)
		} else if !slices.Contains(ids, gid) {
			ids = append(ids, gid)
		}
		return err != nil
	})
	return ids, err
}

// errNotNumber marks a name that is no number.
var errNotNumber = errors.New("not a number")

// parseID takes decimal digits only: "+0", "0x0" and "1e3" are names, not root.
func parseID(s string) (int, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNotNumber
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > maxID {
		return 0, fmt.Errorf("id %s is out of range (0 to %d)", s, maxID)
	}
	return int(n), nil
}

// table is a file in the format of passwd(5) or group(5). It is searched as text: a hostile one may have millions of lines.
type table struct {
	text   []byte
	fields int
}

// readAccounts reads a file of accounts; one that is missing is empty, one that is too large is an error.
func readAccounts(open func(string) (io.ReadCloser, error), path string, fields int) (table, error) {
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return table{}, nil
	}
	if err != nil {
		return table{}, fmt.Errorf("opening %s of the image: %w", path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts+1))
	if err != nil {
		return table{}, fmt.Errorf("reading %s of the image: %w", path, err)
	}
	if len(b) > maxAccounts {
		return table{}, fmt.Errorf("%s of the image is larger than %d MiB", path, maxAccounts>>20)
	}
	return table{b, fields}, nil
}

// find gives the first line for which ok says so, or nil. Comments, empty lines and lines without a number are passed
// over, as the C library does; lines with too few fields are filled up.
func (t table) find(ok func(fields []string) bool) []string {
	for line := range bytes.Lines(t.text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		f := strings.SplitN(string(line), ":", t.fields)
		if len(f) < 3 || f[0] == "" {
			continue
		}
		for len(f) < t.fields {
			f = append(f, "")
		}
		if ok(f) {
			return f
		}
	}
	return nil
}

// homeOf is the home directory of a uid, "/" when the image does not say.
func homeOf(open func(string) (io.ReadCloser, error), uid int) (string, error) {
	accounts, err := readAccounts(open, "/etc/passwd", 7)
	if err != nil {
		return "", err
	}
	f := accounts.find(func(f []string) bool { n, err := parseID(f[2]); return err == nil && n == uid && f[5] != "" })
	if f == nil {
		return "/", nil
	}
	return f[5], nil
}
