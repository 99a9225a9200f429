// This file owns the exchange of ids by which the user of a sandbox is the user of the host.

package runtime

import "github.com/gbuild/gbuild/pkg/runtime/host"

// KeepID makes a user and a group of the sandbox those of the caller, whose ids are 0 where the caller is. Both
// ids change places with 0: what belongs to 0 outside belongs to the user in the sandbox, and the other way round.
type KeepID struct{ UID, GID int }

// outside gives the id outside of an id in the sandbox, of which kept is the one that changes places with 0.
func outside(id, kept int) int {
	switch id {
	case kept:
		return 0
	case 0:
		return kept
	}
	return id
}

// owner gives who outside owns what belongs to a user in the sandbox; k may be nil.
func (k *KeepID) owner(uid, gid int) owner {
	if k == nil {
		return owner{uid, gid}
	}
	return owner{outside(uid, k.UID), outside(gid, k.GID)}
}

// mappings are the maps of a user namespace inside this one.
func (k *KeepID) mappings() (uids, gids []host.IDRange) {
	return swapped(k.UID, "/proc/self/uid_map"), swapped(k.GID, "/proc/self/gid_map")
}

// swapped maps the ids of this namespace to themselves, except that id and 0 change places. The kernel takes no line
// that reaches over two lines of the map that it stands on, so each of those is cut by itself.
func swapped(id int, file string) []host.IDRange {
	ranges, _ := host.ParseIDMap(host.ReadSetting(file))
	n := int64(id)
	var list []host.IDRange
	for _, r := range ranges {
		at, end := int64(r.Inside), int64(r.Inside)+int64(r.Count)
		for _, cut := range []int64{0, 1, n, n + 1, end} {
			if cut <= at || cut > end {
				continue
			}
			inside := at
			switch at {
			case 0:
				inside = n
			case n:
				inside = 0
			}
			list = append(list, host.IDRange{Inside: uint32(inside), Outside: uint32(at), Count: uint32(cut - at)})
			at = cut
		}
	}
	return list
}
