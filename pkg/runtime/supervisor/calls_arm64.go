// This file owns what arm64 has of calls that came before others: two only.

package supervisor

import "golang.org/x/sys/unix"

// auditArch is AUDIT_ARCH_AARCH64.
const auditArch = unix.AUDIT_ARCH_AARCH64

// older turns calls into the form that came after them, whose number it gives.
var older = [512]func(a *[6]uint64) int32{
	unix.SYS_FCHOWN: fchownForm,
	unix.SYS_FSTAT:  fstatForm,
}
