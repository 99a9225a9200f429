// This file owns the look into scripts that a RUN executes: they are read, as the RUN will see them, to find calls of package
// managers. It also says why a RUN that calls one is given no cache.

package toolcache

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers/rootfs"
	"github.com/gbuild/gbuild/pkg/shell"
)

// tellUncached says why a RUN that calls a tool is given no cache for it.
func (c *Caches) tellUncached(s *dockerfile.Run, t installer.Tool) {
	if why := s.Uncached(t); why != "" {
		use := &Use{Tool: string(t), Automatic: true, Without: why}
		c.build.Reports.Cache(c.Step, use.String(), use)
	}
}

// scriptsOf reads files as the RUN will see them: those of its bind mounts, and of the state below.
func (c *Caches) scriptsOf(ctx context.Context, s *dockerfile.Run) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		for i, d := range slices.Backward(s.Mounts) {
			inside, ok := strings.CutPrefix(name+"/", d.Target+"/")
			if !ok {
				continue
			}
			if d.Type != dockerfile.MountBind {
				return nil, fmt.Errorf("%s is not known before the step runs", name)
			}
			v, shown, err := c.Mounted(ctx, i)
			if err != nil {
				return nil, err
			}
			return readScript(v, path.Join("/", shown, inside))
		}
		return readScript(c.Lower, name)
	}
}

// readScript reads a file that is short enough for a script.
func readScript(v *rootfs.View, name string) ([]byte, error) {
	f, err := v.Follow(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, shell.MaxScript+1))
	if err == nil && len(text) > shell.MaxScript {
		return nil, fmt.Errorf("%s is longer than %s", name, size(shell.MaxScript))
	}
	return text, err
}
