// Reading a deflated stream without a frame, as zip archives have them.

package codec

import "io"

// NewInflater returns a reader of a deflated stream (RFC 1951). Closing it does nothing.
func NewInflater(r io.Reader) io.ReadCloser { return &inflated{f: newInflater(r)} }

type inflated struct {
	f    *inflater
	read int // up to where r.f.out has been read
	err  error
}

// Read implements io.Reader.
func (r *inflated) Read(p []byte) (int, error) {
	for r.read == r.f.w {
		if r.err != nil {
			return 0, r.err
		}
		r.f.slide()
		r.read = r.f.w
		r.err = r.f.inflate()
	}
	n := copy(p, r.f.out[r.read:r.f.w])
	r.read += n
	return n, nil
}

// Close implements io.Closer. There is nothing to close.
func (r *inflated) Close() error { return nil }
