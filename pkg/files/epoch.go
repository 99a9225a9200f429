// This file owns the time of a context or of what a stage adds, for SOURCE_DATE_EPOCH.
// Only what came from elsewhere has such a time: that of a local directory would be another one on each machine.

package files

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// Epoch finds the time that SOURCE_DATE_EPOCH is to be taken from, where it names a context or a stage, in Unix seconds:
// that of a commit, a Last-Modified, or of the newest file of an archive. A local directory has none: nil. A stage must
// be FROM scratch with the ADD of one URL or repository. main is the build context, named opens the others.
func Epoch(ctx context.Context, src *dockerfile.Source, main *Context, named func(context.Context, string) (*Context, error), o ContextOptions) (*int64, error) {
	switch {
	case src.Kind == dockerfile.FromStage:
		return stageTime(ctx, src.Stage, o)
	case src.Kind != dockerfile.FromContext:
		return nil, nil
	case src.Name == "":
		return main.time()
	}
	c, err := named(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.time()
}

// stageTime is the time of the one thing that a stage adds.
func stageTime(ctx context.Context, s *dockerfile.Stage, o ContextOptions) (*int64, error) {
	if s.Base.Kind == dockerfile.FromScratch {
		res, err := s.Resolve(nil)
		if err != nil {
			return nil, err
		}
		if len(res.Steps) == 1 {
			if add, ok := res.Steps[0].(*dockerfile.Copy); ok && add.Add && len(add.Sources) == 1 && isRemote(add.Sources[0]) {
				return remoteTime(ctx, add.Sources[0], o)
			}
		}
	}
	return nil, fmt.Errorf("SOURCE_DATE_EPOCH=%s: the stage must be FROM scratch and one ADD of a URL or a git repository", s.Name)
}

// isRemote says whether a source lies elsewhere, in any of the forms that ADD knows.
func isRemote(source string) bool {
	return strings.Contains(source, "://") || strings.HasPrefix(source, "git@")
}

// remoteTime asks a web server for Last-Modified first: then the file need not be fetched.
func remoteTime(ctx context.Context, source string, o ContextOptions) (*int64, error) {
	// The address is the Dockerfile's, so it gets no more reach than one of an ADD.
	o.Dockerfile, o.FromDockerfile = "", true
	if strings.HasPrefix(source, "http") {
		if res, err := o.remote().Ask(ctx, http.MethodHead, source, nil); err == nil {
			res.Body.Close()
			if at, err := http.ParseTime(res.Header.Get("Last-Modified")); err == nil && res.StatusCode == http.StatusOK {
				return seconds(at), nil
			}
		}
	}
	c, err := OpenContext(ctx, source, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.time()
}

// time is when the files of a context that came from elsewhere were last changed; nil for a local directory.
func (c *Context) time() (*int64, error) {
	// Files of a local directory have the times of the checkout, which differ from machine to machine.
	if c == nil || c.scratch == nil {
		return nil, nil
	}
	if !c.modified.IsZero() {
		return seconds(c.modified), nil
	}
	if c.only != "" { // its server did not say
		return nil, nil
	}
	var newest time.Time
	err := fs.WalkDir(c.root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	if err != nil || newest.IsZero() {
		return nil, err
	}
	return seconds(newest), nil
}

// seconds is a time as Unix counts it.
func seconds(t time.Time) *int64 {
	s := t.Unix()
	return &s
}
