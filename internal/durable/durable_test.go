package durable

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFailedWriteLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := errors.Join(Replace(path, []byte("old")), Save(path, []byte("new"))); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := ReplaceBy(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	text, _ := os.ReadFile(path)
	left, _ := os.ReadDir(dir)
	if !errors.Is(err, broken) || string(text) != "new" || len(left) != 1 {
		t.Errorf("%v, %q, left %v", err, text, left)
	}
}

func TestALockIsOnesOrManys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryLock(path, Shared)
	if err != nil {
		t.Fatal(err)
	}
	second, err := TryLock(path, Shared)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path, Exclusive); !errors.Is(err, ErrLocked) {
		t.Errorf("alone among two: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := Lock(ctx, path, Exclusive); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for two: %v", err)
	}
	first.Close()
	second.Close()
	third, err := TryLock(path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	third.Close()
}

// A lock whose file was removed by its last holder would keep nobody out.
func TestWhoWaitsForALockThatIsRemovedGetsTheNextOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := TryLock(path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *os.File)
	go func() {
		f, err := Lock(context.Background(), path, Exclusive)
		if err != nil {
			t.Error(err)
		}
		got <- f
	}()
	time.Sleep(10 * time.Millisecond)
	if err := errors.Join(os.Remove(path), held.Close()); err != nil {
		t.Fatal(err)
	}
	f := <-got
	defer f.Close()
	if named, err := hasName(f); !named || err != nil {
		t.Errorf("the lock is on a file without a name: %v", err)
	}
}

func TestALinkIsNoLock(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "lock")
	if err := os.Symlink(filepath.Join(dir, "victim"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(link, Exclusive); err == nil {
		t.Error("a link was followed")
	}
}
