// The header of Python's byte code: it names the time of its source, or the content. Where files get a settled time, the byte code
// has to name that one, or Python would compile everything again.

package split

import (
	"encoding/binary"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/layers/rootfs"
)

// Offsets in the header, behind the magic number. PEP 552 (Python 3.7) put flags before the time.
const (
	pycFlags = 4 // 0: it holds while its source keeps time and size; else while the content stays
	pycTime  = 8
	pycSize  = 12
	pycEnd   = 16

	// Pythons before 3.7 have the time where the flags are now, and no file is as old as that.
	pycMaxFlags = 1 << 20
)

// timeOffset says where the header of byte code has the time of its source; 0 for one that is bound to the content.
func timeOffset(head [pycEnd]byte) int64 {
	switch flags := binary.LittleEndian.Uint32(head[pycFlags:]); {
	case flags == 0:
		return pycTime
	case flags < pycMaxFlags:
		return 0
	}
	return pycFlags
}

// agrees says whether byte code names the time of the source as it is now.
func agrees(head [pycEnd]byte, source *unix.Stat_t) bool {
	at := timeOffset(head)
	if at == pycTime && binary.LittleEndian.Uint32(head[pycSize:]) != uint32(source.Size) {
		return false
	}
	return source.Mode&unix.S_IFMT == unix.S_IFREG && binary.LittleEndian.Uint32(head[at:]) == uint32(source.Mtim.Sec)
}

// pycSource names the source of byte code by the places where Python keeps it: __pycache__/x.TAG.pyc below the directory of
// x.py, or beside it. known is false for any other place, such as a tree of PYTHONPYCACHEPREFIX.
func pycSource(name string) (source string, known bool) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	module, tag, _ := strings.Cut(strings.TrimSuffix(base, ".pyc"), ".")
	if path.Base(dir) == "__pycache__" {
		return path.Join(path.Dir(dir), module+".py"), true
	}
	return path.Join(dir, module+".py"), tag == ""
}

// pycTimes finds, of the byte code among the files of a distribution, what names the time of its source, and where. ok is
// false when some would not hold any more if all the files got another time. owners has the owner of every file that does.
func pycTimes(root string, d *Distribution, owners map[string]*Distribution) (at map[string]int64, ok bool) {
	at = map[string]int64{}
	for _, name := range d.Files {
		if !strings.HasSuffix(name, ".pyc") {
			continue
		}
		head, err := pycHead(root + name)
		if err != nil {
			return nil, false
		}
		if timeOffset(head) == 0 {
			continue
		}
		source, known := pycSource(name)
		owner := owners[source]
		var st unix.Stat_t
		switch {
		case !known:
			return nil, false
		case owner == nil: // it keeps its time
			continue
		case owner != d || unix.Lstat(root+source, &st) != nil || !agrees(head, &st):
			return nil, false
		}
		at[name] = timeOffset(head)
	}
	return at, true
}

// pycHead reads the header of byte code. No link is followed.
func pycHead(path string) (head [pycEnd]byte, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return head, err
	}
	defer file.Close()
	if _, err = io.ReadFull(file, head[:pycTime]); err == nil && timeOffset(head) != 0 {
		_, err = io.ReadFull(file, head[pycTime:])
	}
	return head, err
}

// settlePyc lets byte code name SettledTime for its source.
func settlePyc(path string, offset int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(binary.LittleEndian.AppendUint32(nil, rootfs.SettledTime), offset)
	return err
}
