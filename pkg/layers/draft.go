package layers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/durable"
)

// Draft is a writable snapshot over a parent. It ends with Commit or Discard; until then its directory belongs to the
// caller, who may write into Dir as into the upper directory of an overlay mount, or Mount it.
type Draft struct {
	store   *Store
	parent  Key
	dir     string // drafts/<random>
	held    *os.File
	lower   *View
	began   time.Time
	mounted bool
	ahead   *ahead // nil: nothing is compressed ahead
}

// Draft makes a draft over the state parent.
func (s *Store) Draft(ctx context.Context, parent Key) (*Draft, error) {
	if err := s.Expand(ctx, parent); err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	lower, err := s.View(parent)
	if err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	d := &Draft{store: s, parent: parent, lower: lower, began: time.Now(), dir: s.path("drafts", rand.Text())}
	if d.held, err = durable.Lock(ctx, d.dir+".lock", durable.Exclusive); err != nil {
		return nil, fmt.Errorf("starting a draft: %w", err)
	}
	if err := d.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a draft: %w", err), d.Discard())
	}
	return d, nil
}

func (d *Draft) make() error {
	if err := os.MkdirAll(d.dir+"/snap", 0o700); err != nil {
		return err
	}
	root, err := d.lower.Lstat("/")
	if err != nil {
		return err
	}
	return copyDir(root, d.Dir())
}

// Dir returns the upper directory: what the draft changes.
func (d *Draft) Dir() string { return d.dir + "/snap/fs" }

// Private returns a directory beside the draft's files, for what is to end with the draft.
func (d *Draft) Private() string { return d.dir }

// Lower returns the files of the parent.
func (d *Draft) Lower() *View { return d.lower }

// View returns the files of the parent with the changes of the draft, as they are at the moment of each call.
func (d *Draft) View() *View { return d.lower.over(d.Dir()) }

// CopyUp makes the directories of name in the upper directory, with the metadata that they have below, so that files can be
// written there. If name is itself a directory, it is among them. name must be free of links (see View.Resolve).
// A directory that exists nowhere is fs.ErrNotExist.
func (d *Draft) CopyUp(name string) error {
	view, at := d.View(), "/"
	parts := split(clean(name))
	for i, part := range parts {
		at = path.Join(at, part)
		e, err := view.Lstat(at)
		if i == len(parts)-1 && (isNotExist(err) || err == nil && !e.IsDir()) {
			return nil
		}
		if err == nil && !e.IsDir() {
			err = unix.ENOTDIR
		}
		if err == nil && e.source != d.Dir()+at {
			err = copyDir(e, d.Dir()+at)
		}
		if err != nil {
			return fmt.Errorf("copying up %s: %w", at, err)
		}
	}
	return nil
}

// copyDir makes an empty directory at target with the metadata of e. For who looks at the state nothing has happened, so
// the directory above keeps its time.
func copyDir(e *Entry, target string) error {
	var above unix.Stat_t
	if err := unix.Stat(path.Dir(target), &above); err != nil {
		return err
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		return err
	}
	if err := copyMetadata(e, target); err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path.Dir(target), []unix.Timespec{above.Atim, above.Mtim}, 0)
}

// copyMetadata gives the file at target, which is ours and not a link, the owner, attributes, mode and time of e.
func copyMetadata(e *Entry, target string) error {
	if e.source != "" && (os.Geteuid() != e.UID || os.Getegid() != e.GID) { // what exists nowhere yet is ours
		if err := os.Lchown(target, e.UID, e.GID); err != nil {
			return err
		}
	}
	if e.source != "" {
		xattrs, err := e.Xattrs()
		if err != nil {
			return err
		}
		for name, value := range xattrs {
			if err := unix.Lsetxattr(target, name, value, 0); err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
		}
	}
	if err := unix.Chmod(target, e.Mode&0o7777); err != nil {
		return err
	}
	if e.ModTime.IsZero() {
		return nil
	}
	times := []unix.Timespec{timespec(e.ModTime), timespec(e.ModTime)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, target, times, unix.AT_SYMLINK_NOFOLLOW)
}

// Commit makes the draft the snapshot of the state k. If k is there already, that one stays: the same key is the same
// state. The draft is over when Commit returns, with an error or without.
func (d *Draft) Commit(ctx context.Context, k Key) error {
	if d.held == nil {
		return errors.New("committing a draft: it is over")
	}
	err := ctx.Err()
	if err == nil {
		err = d.Unmount()
	}
	if err == nil {
		err = d.store.commit(d.dir+"/snap", k, d.parent)
	}
	if err == nil {
		d.keepAhead(k)
	}
	if err == nil && time.Since(d.began) > syncDelay {
		d.store.sync.now() // what took so long is much to write, and its layers are not made yet
	}
	if err != nil {
		return errors.Join(err, d.Discard())
	}
	rest := *d
	d.held = nil
	d.store.beside.Go(func() { _ = rest.Discard() }) // what cannot be removed is reaped, as after a crash
	return nil
}

// Layers makes the layers of what the draft changes, under the name of the state k, and ends the draft: its files are not
// kept. Store.Layers of k finds them, though there is no snapshot of k: what it stands on need not be here.
func (d *Draft) Layers(ctx context.Context, k Key, o LayerOptions) error {
	if d.held == nil {
		return errors.New("making the layers of a draft: it is over")
	}
	held, err := durable.Lock(ctx, d.store.path("locks", k.String()+".layer"), durable.Exclusive)
	if err == nil {
		defer held.Close()
		err = d.Unmount()
	}
	if err == nil && !d.store.HasLayers(k, o) {
		err = d.makeLayers(ctx, k, o)
	}
	if err != nil {
		err = fmt.Errorf("making the layers of %s: %w", k, d.store.explain(err))
	}
	return errors.Join(err, d.Discard())
}

func (d *Draft) makeLayers(ctx context.Context, k Key, o LayerOptions) error {
	all, err := d.store.layersOf(ctx, k, d.Dir(), d.lower, o)
	if err != nil || !o.Index {
		return err
	}
	name, err := indexName(interfaces(all), Key{})
	if err == nil {
		d.store.indexDirectory(ctx, d.Dir(), name, true) // without one the build is slower
	}
	return err
}

// Discard ends the draft and removes what is left of it. It does nothing to one that is over.
func (d *Draft) Discard() error {
	if d.held == nil {
		return nil
	}
	d.endAhead()
	if err := d.Unmount(); err != nil {
		return err
	}
	err := os.RemoveAll(d.dir)
	if err != nil {
		err = d.store.discard(d.dir)
	}
	if err == nil {
		err = os.Remove(d.dir + ".lock")
	}
	d.held.Close()
	d.held = nil
	if err != nil {
		return fmt.Errorf("discarding a draft: %w", err)
	}
	return nil
}
