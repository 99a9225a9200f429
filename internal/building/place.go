// This file owns where the files of a stage lie while a RUN works on them, by the isolation of this process.

package building

import (
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// prepare tells the store how its files are shown to commands, and returns the isolation of those that is known before the first one.
func (j *job) prepare(want host.Isolation, store *layers.Store) (host.Isolation, error) {
	isolation := j.app.Isolation(want)
	store.Copies = isolation == host.Ptrace || isolation.IsDirect()
	if isolation != host.Inplace || j.outside != nil {
		return isolation, nil
	}
	// What is refused later is refused before anything of the container is changed.
	if _, err := j.app.Mode(want); err != nil {
		return isolation, nil
	}
	caches, err := j.app.CachesDir()
	if err != nil {
		return isolation, err
	}
	kept, aside := host.ImagePaths()
	kept = append(kept, store.Dir(), caches)
	if j.request.PipDir != "" {
		kept = append(kept, j.request.PipDir)
	}
	return isolation, store.UsePlace(layers.Place{Dir: "/", Own: host.TreeDir, Kept: kept, Aside: aside})
}

// memoryIn makes directories in memory, where this process can mount none; else nil.
func memoryIn(isolation host.Isolation) func() (string, func() error, error) {
	if isolation.IsDirect() {
		return host.MemoryDir
	}
	return nil
}
