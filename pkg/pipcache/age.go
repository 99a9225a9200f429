// This file owns how long pip believes an answer that it has stored. A server may allow it five
// minutes, or a year. A build without a cache would ask the server, so a build with this cache has to ask, too. The exception
// are answers of which the server says that they never change, as indexes say of files whose digests are on their pages.

package pipcache

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// longAgo is as long as every date of HTTP.
const longAgo = "Thu, 01 Jan 1970 00:00:00 GMT"

var (
	// dated matches the headers of an entry from which its age follows. A byte with the length stands before the value.
	dated     = lazyregexp.New(`(?is)(date|expires).[a-z]{3}, \d\d [a-z]{3} \d{4} \d\d:\d\d:\d\d GMT`)
	immutable = lazyregexp.New(`(?i)\bimmutable\b`)
)

// Age makes pip ask again for the answers that came into its cache during the lease, and that their servers do not call
// immutable. What has not changed is not sent again.
func (l *Lease) Age() error {
	return l.eachNew(func(root *os.Root, path string, _ fs.FileInfo) error {
		if strings.HasSuffix(path, bodySuffix) {
			return nil
		}
		return ignoreGone(age(root, path))
	})
}

// age makes one answer one of long ago. One that leads elsewhere for ever, which pip would believe at any age, goes.
func age(root *os.Root, path string) error {
	f, err := root.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	at := int64(0)
	if body, err := framedBody(f, info.Size()); err == nil {
		_, from, length := body.Outer()
		at = from + length
	}
	if info.Size()-at > maxEntryTail {
		return root.Remove(path)
	}
	text := make([]byte, info.Size()-at)
	if _, err := f.ReadAt(text, at); err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("\xa6status\xcc\xc8")) {
		return root.Remove(path)
	}
	if immutable().Match(text) {
		return nil
	}
	dates := dated().FindAllIndex(text, -1)
	if dates == nil { // Nobody knows how old it is.
		return root.Remove(path)
	}
	for _, m := range dates {
		if _, bad := f.WriteAt([]byte(longAgo), at+int64(m[1]-len(longAgo))); bad != nil {
			err = bad
		}
	}
	return err
}
