// The tables by which the decoder of deflate reads Huffman codes.

package codec

import "math/bits"

// codeTable finds the symbol at the front of the bits: by as many as most codes have, and from there through a second
// table. An entry has what to do at once: the size of the code in the lower bits, flags, the number of extra bits, and above
// 16 bits the literal, the base of a length or distance, or where the second table is.
type codeTable [8192]uint32

const (
	codeSize    = 15     // the bits of an entry that say how many bits to take
	codeLiteral = 1 << 4 // a byte
	codeLong    = 1 << 5 // the code is longer: the second table has it
	codeEnd     = 1 << 6 // the end of the block
	codeBad     = 1 << 7 // no code
	lengthBits  = 11     // index bits of the first table of literals and lengths
	offsetBits  = 8      // index bits of the first table of distances
)

var (
	lengthSymbols = makeLengthSymbols()
	offsetSymbols = makeOffsetSymbols()
	plainSymbols  = makePlainSymbols()
	fixedLengths  = makeFixedLengths()
)

// makeLengthSymbols returns the entries of literals and lengths (RFC 1951, 3.2.5), without the sizes of their codes.
func makeLengthSymbols() (s [288]uint32) {
	for i := range uint32(256) {
		s[i] = i<<16 | codeLiteral
	}
	s[256] = codeEnd
	base := uint32(3)
	for i := range uint32(28) {
		extra := max(i/4, 1) - 1
		s[257+i] = base<<16 | extra<<8
		base += 1 << extra
	}
	s[285], s[286], s[287] = 258<<16, codeBad, codeBad
	return s
}

// makeOffsetSymbols returns the entries of distances, without the sizes of their codes.
func makeOffsetSymbols() (s [32]uint32) {
	base := uint32(1)
	for i := range uint32(30) {
		extra := max(i/2, 1) - 1
		s[i] = base<<16 | extra<<8
		base += 1 << extra
	}
	s[30], s[31] = codeBad, codeBad
	return s
}

// makePlainSymbols returns the entries of the codes that code lengths are written in.
func makePlainSymbols() (s [19]uint32) {
	for i := range s {
		s[i] = uint32(i) << 16
	}
	return s
}

// makeFixedLengths returns those of the codes that every decoder knows (RFC 1951, 3.2.6).
func makeFixedLengths() (l [288 + 32]byte) {
	for i := range l {
		switch {
		case i < 144, i >= 280 && i < 288:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 5
		}
	}
	return l
}

// build makes the table of the canonical codes that have these lengths; first is the number of bits of the first table. It
// returns false for lengths that are no set of codes. A set is complete: each string of bits begins with exactly one code.
// Two sets that are not complete are allowed by the format all the same: no code at all, and one code of one bit.
func (t *codeTable) build(lengths []byte, symbols []uint32, first uint) bool {
	var count, next [16]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	code, longest := 0, uint(0)
	for l := uint(1); l < 16; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
		if count[l] > 0 {
			longest = l
		}
	}
	used := next[longest] + count[longest]
	if longest > 0 && used != 1<<longest && !(longest == 1 && used == 1) {
		return false
	}
	if longest < 2 || longest > first { // else every entry is set
		for i := range t[:1<<first] {
			t[i] = codeBad
		}
	}
	free := 1 << first
	for symbol, l := range lengths {
		if l == 0 {
			continue
		}
		l := uint(l)
		reversed := int(bits.Reverse16(uint16(next[l])) >> (16 - l))
		next[l]++
		if l <= first {
			t.set(reversed, 1<<first, l, symbols[symbol])
			continue
		}
		second, prefix := longest-first, &t[reversed&(1<<first-1)]
		if *prefix&codeLong == 0 {
			*prefix = uint32(free)<<16 | uint32(second)<<8 | codeLong
			free += 1 << second
		}
		start := int(*prefix >> 16)
		t.set(start+reversed>>first, start+1<<second, l-first, symbols[symbol])
	}
	return true
}

// set sets each entry below end that ends in a code.
func (t *codeTable) set(code, end int, size uint, symbol uint32) {
	for ; code < end; code += 1 << size {
		t[code] = symbol | uint32(size)
	}
}
