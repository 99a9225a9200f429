package lease

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

// TestLease follows two leases as two processes would have them.
func TestLease(t *testing.T) {
	dir := t.TempDir()
	gate, leases, used := filepath.Join(dir, "gate"), filepath.Join(dir, "leases"), filepath.Join(dir, "used")
	for _, err := range []error{os.Mkdir(leases, 0o755), os.WriteFile(used, nil, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	here, gone := func() bool { return true }, func() bool { return false }
	held := func(by *Lease) (all []Entry) {
		by.Each(func(entries []Entry) { all = append(all, entries...) })
		slices.Sort(all)
		return all
	}
	one, other := New(leases, gate), New(leases, gate)
	if !one.Hold("a", used, here) || one.Hold("b", used, gone) || !other.Hold("c", used, here) {
		t.Error("what is there is held, and nothing else")
	}
	if all := held(other); !slices.Equal(all, []Entry{"a", "c"}) {
		t.Errorf("held are %q", all)
	}
	if one.Hold("a", used, gone) {
		t.Error("what was held and is gone is not there")
	}
	one.SetWhole("a")
	one.SetWhole("b")
	if !one.IsWhole("a") || one.IsWhole("b") || other.IsWhole("a") {
		t.Error("only what is held can be whole, and only for who holds it")
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if all := held(other); !slices.Equal(all, []Entry{"c"}) || one.IsWhole("a") {
		t.Errorf("after the end of one, %q are held", all)
	}
	// A lease is used again after its end; one that nobody has locked is a dead process's.
	if err := os.WriteFile(filepath.Join(leases, "dead"), []byte("d\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if all := held(other); !one.Hold("a", used, here) || !slices.Equal(all, []Entry{"c"}) {
		t.Errorf("beside a dead lease, %q are held", all)
	}
	if _, err := os.Stat(filepath.Join(leases, "dead")); !os.IsNotExist(err) {
		t.Errorf("the dead lease is still there: %v", err)
	}
	for _, l := range []*Lease{one, other} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(leases); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestAlone holds off who begins to use something until the removal has ended.
func TestAlone(t *testing.T) {
	dir := t.TempDir()
	l := New(dir, filepath.Join(dir, "gate"))
	done, err := l.Alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var removed atomic.Bool
	there := make(chan bool)
	go func() { there <- l.Hold("a", dir, func() bool { return !removed.Load() }) }()
	removed.Store(true)
	done()
	if <-there {
		t.Error("it was held before the removal had ended")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
