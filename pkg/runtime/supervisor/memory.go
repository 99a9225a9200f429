// This file owns the memory of the process that made a call.

package supervisor

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// read fills b with what lies at an address of the process.
func (c *call) read(addr uint64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := unix.ProcessVMReadv(c.pid, iovec(b), []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
	if err != nil || n != len(b) {
		return unix.EFAULT
	}
	return nil
}

// write puts b at an address of the process, which must be the one that waits.
func (c *call) write(addr uint64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if c.alone(); !c.waiting() {
		return unix.ESRCH
	}
	n, err := unix.ProcessVMWritev(c.pid, iovec(b), []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
	if err != nil || n != len(b) {
		return unix.EFAULT
	}
	return nil
}

func iovec(b []byte) []unix.Iovec {
	v := []unix.Iovec{{Base: &b[0]}}
	v[0].SetLen(len(b))
	return v
}

const page = 4096

// readString reads a string with the zero at its end into b, and gives its length without that. What follows in the same
// page is read, too; another page is read only if the string goes on there.
func (c *call) readString(addr uint64, b []byte) (int, error) {
	for got := 0; got < len(b); {
		n := min(page-int((addr+uint64(got))%page), len(b)-got)
		if got == 0 {
			n = min(n, 512)
		}
		if err := c.read(addr+uint64(got), b[got:got+n]); err != nil {
			return 0, err
		}
		if end := bytes.IndexByte(b[got:got+n], 0); end >= 0 {
			return got + end, nil
		}
		got += n
	}
	return 0, unix.ENAMETOOLONG
}

// bytesOf are the bytes of a value without pointers, as the kernel lays it out.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
