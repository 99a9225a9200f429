// Package testself has what tests need that start their own program as other processes, and as other users.
package testself

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Copy copies the program of the test to where every user may read and execute it, and returns the name. It goes with the test.
func Copy(t testing.TB) (name string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	return name
}

// patience is longer than anything takes on a busy machine.
const patience = time.Minute

// Eventually waits until something is so that other processes bring about.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Error("not in time:", what)
}
