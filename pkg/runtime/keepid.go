package runtime

import "github.com/opencontainers/runc/libcontainer/configs"

// KeepID makes a user and a group of the sandbox those of the caller, whose ids are 0 where the caller is. Both
// ids change places with 0: what belongs to 0 outside belongs to the user in the sandbox, and the other way round.
type KeepID struct{ UID, GID int }

// outside gives the id outside of an id in the sandbox, of which kept is the one that changes places with 0.
func (k *KeepID) outside(id, kept int) int {
	switch {
	case k == nil:
		return id
	case id == kept:
		return 0
	case id == 0:
		return kept
	}
	return id
}

func (r *run) keptUID() int {
	if r.KeepID == nil {
		return 0
	}
	return r.KeepID.UID
}

func (r *run) keptGID() int {
	if r.KeepID == nil {
		return 0
	}
	return r.KeepID.GID
}

// mappings are the maps of a user namespace inside this one.
func (k *KeepID) mappings() (uids, gids []configs.IDMap) {
	return swapped(k.UID, "/proc/self/uid_map"), swapped(k.GID, "/proc/self/gid_map")
}

// swapped maps the ids of this namespace to themselves, except that id and 0 change places. The kernel takes no line
// that reaches over two lines of the map that it stands on, so each of those is cut by itself.
func swapped(id int, file string) []configs.IDMap {
	ranges, _ := parseIDMap(readSetting(file))
	n := int64(id)
	var list []configs.IDMap
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
			list = append(list, configs.IDMap{ContainerID: inside, HostID: at, Size: cut - at})
			at = cut
		}
	}
	return list
}
