// This file owns made-up bytes that deflate as those of libraries do.

package testimage

import "math/rand/v2"

// Bytes returns n bytes, always the same ones, which are as compressible as libraries are.
func Bytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := 0; i < n; {
		if i > 4096 && r.IntN(3) > 0 {
			from, size := i-1-r.IntN(min(i-1, 60000)), 4+r.IntN(60)
			i += copy(data[i:min(n, i+size)], data[from:])
			continue
		}
		for range 16 {
			if i < n {
				data[i] = byte(r.IntN(64))
				i++
			}
		}
	}
	return data
}
