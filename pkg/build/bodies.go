package build

import (
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// This file owns what crosses from the caches of one scope to those of another: files that pip has fetched, whose digest
// is on a page that pip fetched in this very scope, and which pip itself verifies.

const lentDir = autoDir + "/bodies"

// lendBodies lends what any scope has of the files that pages of this RUN link to.
func (m *mounts) lendBodies(s *dockerfile.Run, l *pipcache.Lease, dir string) ([]runtime.Mount, error) {
	m.fetched = l
	own, err := l.BodiesDir()
	if err != nil {
		return nil, err
	}
	list := []runtime.Mount{{Type: "bind", Source: own, Target: lentDir, ReadOnly: true}}
	bodies, err := m.Caches.Bodies(m.user.UID, m.user.GID)
	if err != nil {
		return list, nil // they are fetched
	}
	lending, err := bodies.Lend(l, pipcache.LendOptions{Dir: dir, Lent: lentDir, Indexes: m.indexes(s), UID: m.user.UID, GID: m.user.GID})
	if err == nil {
		m.later(lending.Stop)
	}
	return list, nil
}

// keepingBodies names the future of what a RUN has fetched.
type keepingBodies struct{ lease *pipcache.Lease }

// keepBodies lets other scopes have what pip has fetched now. That takes a digest of it all, beside the steps that follow.
func (m *mounts) keepBodies() {
	if m.fetched == nil {
		return
	}
	l, caches, outer := m.fetched, m.Caches, m.outer
	user := m.user
	m.once(keepingBodies{l}, func() (k layers.Key, err error) {
		if bodies, err := caches.Bodies(user.UID, user.GID); err == nil {
			_ = bodies.Keep(outer, l) // what is not kept is fetched again
		}
		return k, nil
	})
}

// doubtFetched lets the next RUN find nothing without a question that no digest vouches for: neither what pip fetched, nor
// what it built of that.
func (m *mounts) doubtFetched() {
	for _, u := range m.uses {
		if !u.Automatic || u.Tool != string(dockerfile.Pip) || u.lease == nil {
			continue
		}
		err := u.lease.Age()
		if u.built != nil {
			err = errors.Join(err, u.built.DropUndigested(u.ofState))
		}
		if err != nil {
			m.report(Event{Type: Notice, Step: m.number, Text: fmt.Sprintf("what pip has fetched may be used without asking for it again: %v", err)})
		}
	}
}

// addresses matches URLs in the text of a RUN, its requirements and its environment.
var addresses = lazyregexp.New(`https?://[^\s"'` + "`" + `\\;|&()<>]+`)

// indexes lists the URLs that may be those of a package index that the RUN asks.
func (m *mounts) indexes(s *dockerfile.Run) []string {
	all := []string{"https://pypi.org/simple"}
	if mirror := m.req.Mirrors[dockerfile.Pip]; mirror != nil {
		all = append(all, mirror.String())
	}
	for _, texts := range [][]string{s.Args, s.Env} {
		for _, text := range texts {
			all = append(all, addresses().FindAllString(text, -1)...)
		}
	}
	for _, f := range s.Files {
		all = append(all, addresses().FindAllString(string(f.Data), -1)...)
	}
	return all
}
