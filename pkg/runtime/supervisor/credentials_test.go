// This file owns the rules of credentials(7), as tables.

package supervisor

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUsersChangeAsTheKernelSays(t *testing.T) {
	root, user, dropped := ids{}, ids{1000, 1000, 1000, 1000}, ids{0, 1000, 0, 1000}
	for _, test := range []struct {
		name   string
		from   ids
		change func(ids, bool) (ids, error)
		want   ids
		err    error
	}{
		{"setuid of root is for good", root, func(i ids, p bool) (ids, error) { return i.set(7, p) }, ids{7, 7, 7, 7}, nil},
		{"setuid of a user", user, func(i ids, p bool) (ids, error) { return i.set(7, p) }, user, unix.EPERM},
		{"setuid of a user to itself", user, func(i ids, p bool) (ids, error) { return i.set(1000, p) }, user, nil},
		{"setuid to nobody", root, func(i ids, p bool) (ids, error) { return i.set(same, p) }, root, unix.EINVAL},
		{"back by the saved id", dropped, func(i ids, p bool) (ids, error) { return i.set(0, p) }, root, nil},
		{"seteuid of root", root, func(i ids, p bool) (ids, error) { return i.setAll(same, 1000, same, p) }, dropped, nil},
		{"setresuid of a user", dropped, func(i ids, p bool) (ids, error) { return i.setAll(1000, 1000, 1000, p) }, user, nil},
		{"setresuid of a user to another", user, func(i ids, p bool) (ids, error) { return i.setAll(1000, 1000, 0, p) }, user, unix.EPERM},
		{"setreuid swaps", ids{1000, 7, 7, 7}, func(i ids, p bool) (ids, error) { return i.setBoth(7, 1000, p) }, ids{7, 1000, 1000, 1000}, nil},
		{"setreuid keeps what is saved", ids{5, 6, 7, 6}, func(i ids, p bool) (ids, error) { return i.setBoth(same, 5, p) }, ids{5, 5, 7, 5}, nil},
		{"setreuid of a user to what is saved as its real one", ids{5, 6, 7, 6}, func(i ids, p bool) (ids, error) { return i.setBoth(7, same, p) }, ids{5, 6, 7, 6}, unix.EPERM},
		{"setfsuid of root", root, func(i ids, p bool) (ids, error) { return i.setFS(9, p), nil }, ids{0, 0, 0, 9}, nil},
		{"setfsuid of a user", user, func(i ids, p bool) (ids, error) { return i.setFS(9, p), nil }, user, nil},
	} {
		got, err := test.change(test.from, test.from.effective == 0)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %v, %v; want %v, %v", test.name, got, err, test.want, test.err)
		}
	}
}

func TestProgramsMakeSomebodyElse(t *testing.T) {
	c := credentialsOf(1000, 1001, []uint32{5})
	c.keepCaps = true
	got := c.exec(unix.S_ISUID|unix.S_ISGID|unix.S_IXGRP, owner{7, 8})
	want := credentials{user: ids{1000, 7, 7, 7}, group: ids{1001, 8, 8, 8}, groups: c.groups}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := c.exec(unix.S_ISGID, owner{7, 8}); got.group.effective != 1001 {
		t.Errorf("a file that its group cannot execute changes the group to %d", got.group.effective)
	}
}

func TestWhoGivesFilesAway(t *testing.T) {
	user := credentialsOf(1000, 1001, []uint32{5})
	for _, test := range []struct {
		who      credentials
		from, to owner
		want     bool
	}{
		{credentials{}, owner{1, 2}, owner{3, 4}, true},
		{user, owner{1000, 1001}, owner{1000, 5}, true},
		{user, owner{1000, 1001}, owner{1000, 6}, false},
		{user, owner{1000, 9}, owner{1000, 9}, true},
		{user, owner{1000, 1001}, owner{0, 1001}, false},
		{user, owner{0, 5}, owner{0, 5}, false},
	} {
		if got := test.who.mayGive(test.from, test.to); got != test.want {
			t.Errorf("%d gives %v to %v: %v", test.who.user.fs, test.from, test.to, got)
		}
	}
}

func TestCredentialsHaveNumbers(t *testing.T) {
	var r registry
	a, b := r.numberOf(credentialsOf(1, 2, nil)), r.numberOf(credentialsOf(1, 2, []uint32{3}))
	if a == b || r.numberOf(credentialsOf(1, 2, nil)) != a {
		t.Errorf("numbers %d and %d", a, b)
	}
	if c, ok := r.with(b); !ok || !c.in(3) || !c.in(2) || c.in(4) {
		t.Errorf("%d is %+v, %v", b, c, ok)
	}
	for _, n := range []uint64{0, firstNumber - 1, b + 1, unix.RLIM_INFINITY, b + awaitingFirst} {
		if _, ok := r.with(n); ok {
			t.Errorf("the limit %d is taken for a number", n)
		}
	}
}

func TestListsOfAccess(t *testing.T) {
	acl := func(entries ...[3]uint32) []byte {
		b := []byte{2, 0, 0, 0}
		for _, e := range entries {
			b = append(b, byte(e[0]), 0, byte(e[1]), 0, byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
		}
		return b
	}
	bits, strangers := readACL(acl([3]uint32{aclOwner, 6, same}, [3]uint32{aclUser, 7, 1000}, [3]uint32{aclOwnersGroup, 4, same}, [3]uint32{aclMask, 7, same}, [3]uint32{aclOther, 1, same}))
	if bits != 0o671 || !strangers {
		t.Errorf("%o, %v", bits, strangers)
	}
	bits, strangers = readACL(acl([3]uint32{aclOwner, 6, same}, [3]uint32{aclUser, 7, 0}, [3]uint32{aclOwnersGroup, 4, same}, [3]uint32{aclOther, 1, same}))
	if bits != 0o641 || strangers {
		t.Errorf("%o, %v", bits, strangers)
	}
}

func TestStatusIsRead(t *testing.T) {
	s, err := parseStatus([]byte("Name:\tx\nUmask:\t0027\nUid:\t1\t2\t3\t0\nGid:\t1\t2\t3\t0\nCapEff:\t0000000008000002\n"))
	if err != nil || s.umask != 0o27 || !s.rootWith(unix.CAP_MKNOD, unix.CAP_DAC_OVERRIDE) || s.rootWith(unix.CAP_SYS_ADMIN) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseStatus([]byte("Name:\tx\n")); err == nil {
		t.Error("half a status is taken for one")
	}
}
