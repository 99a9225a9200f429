// This file owns the build contexts of one build.

package build

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gbuild/gbuild/pkg/files"
)

// contexts opens named contexts, each once, and closes them.
type contexts struct {
	main  *files.Context // the context of the request, which the caller closes; may be nil
	named func(ctx context.Context, name string) (*files.Context, error)

	mu   sync.Mutex
	open map[string]*files.Context
}

// get returns the build context, which has no name, or a named one.
func (c *contexts) get(ctx context.Context, name string) (*files.Context, error) {
	if name == "" {
		if c.main == nil {
			return nil, errors.New("this build has no context")
		}
		return c.main, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.open[name]; known != nil {
		return known, nil
	}
	if c.named == nil {
		return nil, fmt.Errorf("context %s is not known", name)
	}
	opened, err := c.named(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("opening build context %s: %w", name, err)
	}
	if c.open == nil {
		c.open = map[string]*files.Context{}
	}
	c.open[name] = opened
	return opened, nil
}

// close closes the named ones.
func (c *contexts) close() {
	for _, open := range c.open {
		open.Close()
	}
}
