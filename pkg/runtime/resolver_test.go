package runtime

import "testing"

func TestResolver(t *testing.T) {
	const text = "# of the host\nnameserver 10.0.0.1\nsearch example.com\noptions edns0\n"
	for want, r := range map[string]Resolver{
		text: {},
		"# of the host\nsearch example.com\noptions edns0\nnameserver 1.1.1.1\nnameserver ::1\n": {Servers: []string{"1.1.1.1", "::1"}},
		"# of the host\nnameserver 10.0.0.1\noptions edns0\n":                                    {Search: []string{"."}},
		"# of the host\nnameserver 10.0.0.1\nsearch a b\noptions ndots:1\n":                      {Search: []string{"a", "b"}, Options: []string{"ndots:1"}},
	} {
		if got := r.apply(text); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if (&Resolver{Servers: []string{"dns.example"}}).Check() == nil {
		t.Error("a name was taken for a server")
	}
}

// What is asked of limits is worded for both versions of control groups.
func TestResources(t *testing.T) {
	l := Limits{Memory: 100 << 20, MemorySwap: 300 << 20, MemoryReservation: 50 << 20, CPUShares: 512, CPUSet: "0-1", MemorySet: "0"}
	r := resourcesOf(l)
	if r.MemoryReservation != 50<<20 || r.CpuShares != 512 || r.CpuWeight == 0 || r.CpusetCpus != "0-1" || r.CpusetMems != "0" {
		t.Errorf("%+v", r)
	}
	if got := controllersOf(l); len(got) != 3 {
		t.Errorf("controllers %q", got)
	}
	for want, l := range map[int64]Limits{200 << 20: {Memory: 100 << 20, MemorySwap: 300 << 20}, 100 << 20: {Memory: 100 << 20}, -1: {Memory: 1, MemorySwap: -1}, 0: {Memory: 5, MemorySwap: 5}} {
		if got := l.swap(); got != want {
			t.Errorf("%+v: %d, want %d", l, got, want)
		}
	}
}
