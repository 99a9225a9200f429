// This file owns what one lease brought into its cache.

package pipcache

// Usage is what came into a cache during a lease. Other builds that share the cache count too.
type Usage struct {
	Files  int
	Bytes  int64
	Wheels []Wheel // These were fetched or built since.
}

// Usage says what is new in the cache since Acquire.
func (l *Lease) Usage() (Usage, error) {
	c, err := scan(l.Dir(), &l.from)
	return Usage{c.files, c.bytes, c.wheels}, err
}
