// The lists of files that installers keep: where they lie, and what reading them is bounded by.

package split

import (
	"io"
	"os"
	"strings"

	"github.com/gbuild/gbuild/pkg/installer"
)

// maxList is how many bytes a list may have; that of a distribution with 100,000 files has 10 MB.
const maxList = 16 << 20

// readList returns the paths on a list of at most so many names.
func readList(file *os.File, list installer.List, most int) ([]string, error) {
	info, err := file.Stat()
	if err == nil && info.Size() > maxList {
		err = installer.ErrLongList
	}
	if err != nil {
		return nil, err
	}
	return list.Read(io.LimitReader(file, maxList), most)
}

// printable makes a name fit for the history of an image.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, name)
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}
	return strings.Replace(name, "-", " ", 1)
}
