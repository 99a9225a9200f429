// This file owns what all that is fetched has in common: who may ask for it, where it is kept, and what one build knows already.
// A Fetcher is data: it is copied where one source may do more than another.

package remote

import (
	"sync"

	"github.com/gbuild/gbuild/pkg/layers"
)

// Fetcher fetches what lies elsewhere: files of web servers, and git repositories.
type Fetcher struct {
	Store   *layers.Store                  // keeps downloads
	Secret  func(id string) ([]byte, bool) // credentials of the servers; may be nil
	Environ []string                       // names proxies and the home directory, for git
	SSH     *SSHGrant                      // lends git over ssh an agent; nil: there is none
	Notice  func(text string)              // may be nil
	Fetched *Fetched                       // remembers what this build fetched; nil: nothing is shared between calls
	Bounds  Bounds                         // limits each download

	LocalNetwork bool // sources may be at addresses of this machine, and lead there
	Named        bool // the user named the source, and no Dockerfile: it itself may be anywhere
}

// Fetched is what one build fetched: what a step copies is what its key was made of, and nothing is asked for twice.
type Fetched struct {
	mu    sync.Mutex
	files map[string]*download
	tips  map[string]*gitTip
	said  sync.Map // texts; it has no part in mu, which is held while git runs
}

// NewFetched begins with nothing.
func NewFetched() *Fetched {
	return &Fetched{files: map[string]*download{}, tips: map[string]*gitTip{}}
}

// file is a download of this build; nil where there is none.
func (r *Fetched) file(name string) *download {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[name]
}

// keepFile returns what another goroutine fetched first, if one did.
func (r *Fetched) keepFile(name string, d *download) *download {
	if r == nil {
		return d
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.files[name]; first != nil {
		return first
	}
	r.files[name] = d
	return d
}

// first is true once for each text.
func (r *Fetched) first(text string) bool {
	if r == nil {
		return true
	}
	_, said := r.said.LoadOrStore(text, true)
	return !said
}

// tip returns what find finds, once for each name.
func (r *Fetched) tip(name string, find func() (*gitTip, error)) (*gitTip, error) {
	if r == nil {
		return find()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.tips[name]; known != nil {
		return known, nil
	}
	found, err := find()
	if err == nil {
		r.tips[name] = found
	}
	return found, err
}
