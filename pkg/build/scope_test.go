package build

import (
	"testing"

	"github.com/gbuild/gbuild/pkg/installer"
)

func inScope(scope string, below ...string) func(*Request) {
	return func(r *Request) { r.Scope, r.ScopesBelow = scope, below }
}

// TestResultsThatSawACacheBelongToItsScope builds one Dockerfile in several scopes of one machine.
func TestResultsThatSawACacheBelongToItsScope(t *testing.T) {
	b := newBench(t)
	const saw = "FROM scratch\nRUN --mount=type=cache,target=/c write a one\nRUN write b two\n"
	b.build(saw, inScope("one"))
	b.wantRan("write a one", "write b two")
	b.build(saw, inScope("one"))
	b.wantRan()
	b.build(saw, inScope("two")) // what is built upon it, too
	b.wantRan("write a one", "write b two")
	b.build(saw, inScope("three", "one"))
	b.wantRan()
	b.build(saw, inScope(""))
	b.wantRan("write a one", "write b two")
	b.build("FROM scratch\nRUN write c three\n", inScope("one"))
	b.build("FROM scratch\nRUN write c three\n", inScope("two"))
	b.wantRan()
}

// TestResultWithoutACacheIsNewer runs a step again without the cache that it has seen.
func TestResultWithoutACacheIsNewer(t *testing.T) {
	b := newBench(t)
	const text = "FROM scratch\nRUN pip install x=1\n"
	auto := func(r *Request) { r.AutoCache = []installer.Tool{installer.Pip} }
	first := b.build(text, auto, inScope("one"))
	if again := b.build(text, inScope("one")); again.Key != first.Key {
		t.Error("without a cache, the result of the same scope is not used")
	}
	without := b.build(text, inScope("one"), func(r *Request) { r.NoCache = true })
	for _, scope := range []string{"one", "two"} {
		if later := b.build(text, auto, inScope(scope)); later.Key != without.Key || later.Steps != 0 {
			t.Errorf("scope %s ran %d steps; what ran last counts, and has seen no cache", scope, later.Steps)
		}
	}
	newest := b.build(text, auto, inScope("one"), func(r *Request) { r.NoCache = true })
	if later := b.build(text, auto, inScope("one")); later.Key != newest.Key {
		t.Error("what ran last does not count")
	}
	if other := b.build(text, auto, inScope("two")); other.Key != without.Key {
		t.Error("a scope has the result of another")
	}
}

// TestWeakResultsAreForWeakBuilds holds that what a RUN made whose files may have wrong owners, and all that is built on it, is used by
// builds that could do no better only, while these use whatever there is.
func TestWeakResultsAreForWeakBuilds(t *testing.T) {
	b := newBench(t)
	const text = "FROM scratch\nRUN write a one\nRUN write b two\n"
	is := false
	b.Weak = func() bool { return is }
	as := func(weak bool, ran ...string) *Result {
		t.Helper()
		is = weak
		r := b.build(text, inScope("one"))
		b.wantRan(ran...)
		return r
	}
	first := as(true, "write a one", "write b two")
	if again := as(true); again.Key != first.Key {
		t.Error("a weak build does not find what it made")
	}
	full := as(false, "write a one", "write b two")
	if full.Key == first.Key {
		t.Error("both have one name")
	}
	if again := as(true); again.Key != full.Key {
		t.Error("a weak build does not take a right result")
	}
	is = true
	b.build(text, inScope("one"), func(r *Request) { r.NoCache = true })
	b.wantRan("write a one", "write b two")
	if again := as(false); again.Key != full.Key {
		t.Error("a weak build has replaced a right result")
	}
}
