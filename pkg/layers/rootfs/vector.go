package rootfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Vector is a list of values without pointers that may become long. Then it lies outside of the heap, where the collector
// lets a list take twice its size, and its copies when it grows. Only append by Add; a pointer into List is good until
// then. The zero Vector is empty.
type Vector[T any] struct {
	List   []T
	mapped []byte
}

// Add appends a value.
func (v *Vector[T]) Add(value T) {
	if len(v.List) == cap(v.List) {
		v.Reserve(max(64, 2*cap(v.List)))
	}
	v.List = append(v.List, value)
}

// Reserve makes room for n values. What is not used yet takes no memory.
func (v *Vector[T]) Reserve(n int) {
	if n <= cap(v.List) {
		return
	}
	if !v.remap(n) {
		list := append(make([]T, 0, n), v.List...)
		v.Free()
		v.List = list
	}
}

// remap makes room outside of the heap, if that is worth it and possible: there may be a limit on mappings.
func (v *Vector[T]) remap(n int) bool {
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	if size < mapFrom {
		return false
	}
	var mapped []byte
	var err error
	if v.mapped != nil {
		mapped, err = unix.Mremap(v.mapped, size, unix.MREMAP_MAYMOVE)
	} else {
		mapped, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	}
	if err != nil {
		return false
	}
	list := unsafe.Slice((*T)(unsafe.Pointer(&mapped[0])), n)[:len(v.List)]
	if v.mapped == nil {
		copy(list, v.List)
	}
	v.List, v.mapped = list, mapped
	return true
}

const mapFrom = 64 << 10 // bytes

// Free empties the list. What it held must not be used any more.
func (v *Vector[T]) Free() {
	if v.mapped != nil {
		unix.Munmap(v.mapped)
	}
	v.List, v.mapped = nil, nil
}
