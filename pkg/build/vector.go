package build

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// vector is a list of values without pointers that may become long. It lies outside of the heap, where the collector lets
// a list take twice its size, and its copies when it grows. Only append by add; a pointer into the list is good until then.
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
	var zero T
	mapped, err := v.remap(n * int(unsafe.Sizeof(zero)))
	if err != nil { // as where a limit on mappings is set: then on the heap
		list := append(make([]T, 0, n), v.list...)
		v.free()
		v.list = list
		return
	}
	v.mapped = mapped
	v.list = unsafe.Slice((*T)(unsafe.Pointer(&mapped[0])), n)[:len(v.list)]
}

func (v *vector[T]) remap(size int) ([]byte, error) {
	if v.mapped != nil {
		return unix.Mremap(v.mapped, size, unix.MREMAP_MAYMOVE)
	}
	if len(v.list) > 0 {
		return nil, unix.ENOMEM
	}
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

func (v *vector[T]) free() {
	if v.mapped != nil {
		unix.Munmap(v.mapped)
	}
	v.list, v.mapped = nil, nil
}
