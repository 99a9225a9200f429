package build

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// vector is a list of values without pointers that may become long. Then it lies outside of the heap, where the collector
// lets a list take twice its size, and its copies when it grows. Only append by add; a pointer into the list is good until
// then.
type vector[T any] struct {
	list   []T
	mapped []byte
}

func (v *vector[T]) add(value T) {
	if len(v.list) == cap(v.list) {
		v.reserve(max(64, 2*cap(v.list)))
	}
	v.list = append(v.list, value)
}

// reserve makes room for n values. What is not used yet takes no memory.
func (v *vector[T]) reserve(n int) {
	if n <= cap(v.list) {
		return
	}
	if !v.remap(n) {
		list := append(make([]T, 0, n), v.list...)
		v.free()
		v.list = list
	}
}

// remap makes room outside of the heap, if that is worth it and possible: there may be a limit on mappings.
func (v *vector[T]) remap(n int) bool {
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
	list := unsafe.Slice((*T)(unsafe.Pointer(&mapped[0])), n)[:len(v.list)]
	if v.mapped == nil {
		copy(list, v.list)
	}
	v.list, v.mapped = list, mapped
	return true
}

const mapFrom = 64 << 10 // bytes

func (v *vector[T]) free() {
	if v.mapped != nil {
		unix.Munmap(v.mapped)
	}
	v.list, v.mapped = nil, nil
}
