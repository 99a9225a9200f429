// This file owns the rules by which a process becomes another user: see credentials(7). It is pure.

package supervisor

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// ids are those of one kind, user or group.
type ids struct{ real, effective, saved, fs uint32 }

// credentials are whom a process runs as.
type credentials struct {
	user, group ids
	groups      string // supplementary groups, four bytes each, so that credentials can be compared
	keepCaps    bool   // PR_SET_KEEPCAPS: what was root still may do what root may
}

// same is the argument that leaves an id as it is.
const same = ^uint32(0)

// credentialsOf are those of somebody who has just logged in.
func credentialsOf(uid, gid uint32, groups []uint32) credentials {
	return credentials{user: ids{uid, uid, uid, uid}, group: ids{gid, gid, gid, gid}, groups: packGroups(groups)}
}

// packGroups puts groups in their order, as the kernel gives them back.
func packGroups(groups []uint32) string {
	var b []byte
	for _, g := range slices.Sorted(slices.Values(groups)) {
		b = binary.NativeEndian.AppendUint32(b, g)
	}
	return string(b)
}

// privileged says whether the process may become anybody and give files to anybody.
func (c credentials) privileged() bool { return c.user.effective == 0 || c.keepCaps }

// in says whether the process is in a group.
func (c credentials) in(group uint32) bool {
	if c.group.fs == group {
		return true
	}
	for i := 0; i+4 <= len(c.groups); i += 4 {
		if binary.NativeEndian.Uint32([]byte(c.groups[i:i+4])) == group {
			return true
		}
	}
	return false
}

// mayBe says whether without privilege an id may become that one.
func (i ids) mayBe(id uint32) bool {
	return id == same || id == i.real || id == i.effective || id == i.saved
}

// set is setuid and setgid.
func (i ids) set(id uint32, privileged bool) (ids, error) {
	switch {
	case id == same:
		return i, unix.EINVAL
	case privileged:
		return ids{id, id, id, id}, nil
	case id == i.real || id == i.saved:
		i.effective, i.fs = id, id
		return i, nil
	}
	return i, unix.EPERM
}

// setBoth is setreuid and setregid.
func (i ids) setBoth(real, effective uint32, privileged bool) (ids, error) {
	if !privileged && (real != same && real != i.real && real != i.effective || !i.mayBe(effective)) {
		return i, unix.EPERM
	}
	was := i.real
	if real != same {
		i.real = real
	}
	if effective != same {
		i.effective = effective
	}
	if real != same || effective != same && effective != was {
		i.saved = i.effective
	}
	i.fs = i.effective
	return i, nil
}

// setAll is setresuid and setresgid.
func (i ids) setAll(real, effective, saved uint32, privileged bool) (ids, error) {
	if !privileged && !(i.mayBe(real) && i.mayBe(effective) && i.mayBe(saved)) {
		return i, unix.EPERM
	}
	for _, x := range []struct {
		id *uint32
		to uint32
	}{{&i.real, real}, {&i.effective, effective}, {&i.saved, saved}} {
		if x.to != same {
			*x.id = x.to
		}
	}
	i.fs = i.effective
	return i, nil
}

// setFS is setfsuid and setfsgid, which never fail.
func (i ids) setFS(id uint32, privileged bool) ids {
	if id != same && (privileged || id == i.fs || i.mayBe(id)) {
		i.fs = id
	}
	return i
}

// exec is what becomes of credentials when a program is executed whose file has that mode and owner.
func (c credentials) exec(mode uint32, of owner) credentials {
	c.keepCaps = false
	if mode&unix.S_ISUID != 0 {
		c.user.effective = of.uid
	}
	if mode&unix.S_ISGID != 0 && mode&unix.S_IXGRP != 0 {
		c.group.effective = of.gid
	}
	c.user.saved, c.user.fs = c.user.effective, c.user.effective
	c.group.saved, c.group.fs = c.group.effective, c.group.effective
	return c
}

// mayGive says whether the process may give a file of that owner to another one.
func (c credentials) mayGive(from, to owner) bool {
	return c.user.fs == 0 || c.keepCaps || from.uid == c.user.fs && to.uid == from.uid && (to.gid == from.gid || c.in(to.gid))
}
