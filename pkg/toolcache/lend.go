// This file owns what crosses from the caches of one scope to those of another: files that pip has fetched, whose digest
// is on a page that pip fetched in this very scope, and which pip itself verifies.

package toolcache

import (
	"errors"
	"fmt"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// lentDir is where pip finds the files of other scopes.
const lentDir = autoDir + "/bodies"

// lendBodies lends what any scope has of the files that pages of this RUN link to.
func (c *Caches) lendBodies(s *dockerfile.Run, l *pipcache.Lease, dir string) ([]runtime.Mount, error) {
	if c.fetched = l; c.build.Moved { // another RUN may need it at the same time
		return nil, nil
	}
	own, err := l.BodiesDir()
	if err != nil {
		return nil, err
	}
	list := []runtime.Mount{{Type: "bind", Source: own, Target: lentDir, ReadOnly: true}}
	bodies, err := c.build.Caches.Bodies(c.User.UID, c.User.GID)
	if err != nil {
		return list, nil // they are fetched
	}
	lending, err := bodies.Lend(l, pipcache.LendOptions{Dir: dir, Lent: lentDir, Indexes: c.indexes(s), UID: c.User.UID, GID: c.User.GID})
	if err == nil {
		c.leases.Later(lending.Stop)
	}
	return list, nil
}

// KeepBodies lets other scopes have what pip has fetched now. That takes a digest of it all, beside the steps that follow.
func (c *Caches) KeepBodies() {
	if c.fetched == nil {
		return
	}
	user, l := c.User, c.fetched
	c.build.Beside(func() error {
		if bodies, err := c.build.Caches.Bodies(user.UID, user.GID); err == nil {
			_ = bodies.Keep(c.build.Outer, l) // a file that is not kept is fetched again
		}
		return nil
	})
}

// DoubtFetched lets the next RUN find nothing without a question that no digest vouches for: neither what pip fetched, nor
// what it built of that.
func (c *Caches) DoubtFetched() {
	for _, u := range c.uses {
		if !u.Automatic || u.Tool != string(installer.Pip) || u.lease == nil {
			continue
		}
		err := u.lease.Age()
		if u.built != nil {
			err = errors.Join(err, u.built.DropUndigested(u.ofState))
		}
		if err != nil {
			c.leases.Tell(fmt.Sprintf("what pip has fetched may be used without asking for it again: %v", err))
		}
	}
}

// addresses matches URLs in the text of a RUN, its requirements and its environment.
var addresses = lazyregexp.New(`https?://[^\s"'` + "`" + `\\;|&()<>]+`)

// indexes lists the URLs that may be those of a package index that the RUN asks.
func (c *Caches) indexes(s *dockerfile.Run) []string {
	all := []string{"https://pypi.org/simple"}
	if mirror := c.build.Mirrors[installer.Pip]; mirror != nil {
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
