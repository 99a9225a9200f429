// This file owns what only amd64 has: calls that others have in a newer form only.

package supervisor

import "golang.org/x/sys/unix"

// auditArch is AUDIT_ARCH_X86_64.
const auditArch = unix.AUDIT_ARCH_X86_64

const here = 1<<64 + unix.AT_FDCWD // AT_FDCWD as an argument of a system call

// older turns calls into the form that came after them, whose number it gives.
var older = [512]func(a *[6]uint64) int32{
	unix.SYS_FCHOWN: fchownForm,
	unix.SYS_FSTAT:  fstatForm,

	unix.SYS_CHOWN:   func(a *[6]uint64) int32 { *a = [6]uint64{here, a[0], a[1], a[2]}; return unix.SYS_FCHOWNAT },
	unix.SYS_STAT:    func(a *[6]uint64) int32 { *a = [6]uint64{here, a[0], a[1]}; return unix.SYS_NEWFSTATAT },
	unix.SYS_OPEN:    func(a *[6]uint64) int32 { *a = [6]uint64{here, a[0], a[1], a[2]}; return unix.SYS_OPENAT },
	unix.SYS_MKDIR:   func(a *[6]uint64) int32 { *a = [6]uint64{here, a[0], a[1]}; return unix.SYS_MKDIRAT },
	unix.SYS_SYMLINK: func(a *[6]uint64) int32 { *a = [6]uint64{a[0], here, a[1]}; return unix.SYS_SYMLINKAT },
	unix.SYS_MKNOD:   func(a *[6]uint64) int32 { *a = [6]uint64{here, a[0], a[1], a[2]}; return unix.SYS_MKNODAT },
	unix.SYS_LCHOWN: func(a *[6]uint64) int32 {
		*a = [6]uint64{here, a[0], a[1], a[2], unix.AT_SYMLINK_NOFOLLOW}
		return unix.SYS_FCHOWNAT
	},
	unix.SYS_LSTAT: func(a *[6]uint64) int32 {
		*a = [6]uint64{here, a[0], a[1], unix.AT_SYMLINK_NOFOLLOW}
		return unix.SYS_NEWFSTATAT
	},
	unix.SYS_CREAT: func(a *[6]uint64) int32 {
		*a = [6]uint64{here, a[0], unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, a[1]}
		return unix.SYS_OPENAT
	},
}
