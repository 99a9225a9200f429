// This file owns the grammar of --tmpfs: a directory, and options as mount(8) has them.

package running

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// tmpfsFlags are those of a tmpfs of a container without options. Nothing is executed from it unless exec says so, as in docker. The
// kernel's own way with times of access is named, so that there is a flag in any case.
const tmpfsFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// keptTimes is set where no other flag is: 0 would be the default ones.
const keptTimes = unix.MS_RELATIME

// tmpfsWords are the options that are flags, and those that take a flag away.
var tmpfsWords = map[string]struct {
	flag uintptr
	away bool
}{
	"ro": {unix.MS_RDONLY, false}, "rw": {unix.MS_RDONLY, true},
	"suid": {unix.MS_NOSUID, true}, "nosuid": {unix.MS_NOSUID, false}, "dev": {unix.MS_NODEV, true}, "nodev": {unix.MS_NODEV, false},
	"exec": {unix.MS_NOEXEC, true}, "noexec": {unix.MS_NOEXEC, false}, "sync": {unix.MS_SYNCHRONOUS, false}, "async": {unix.MS_SYNCHRONOUS, true},
	"dirsync": {unix.MS_DIRSYNC, false}, "mand": {unix.MS_MANDLOCK, false}, "nomand": {unix.MS_MANDLOCK, true},
	"noatime": {unix.MS_NOATIME, false}, "atime": {unix.MS_NOATIME, true}, "nodiratime": {unix.MS_NODIRATIME, false}, "diratime": {unix.MS_NODIRATIME, true},
	"relatime": {unix.MS_RELATIME, false}, "norelatime": {unix.MS_RELATIME, true}, "strictatime": {unix.MS_STRICTATIME, false}, "nostrictatime": {unix.MS_STRICTATIME, true},
	// Nobody else sees what is mounted in a container, whatever its propagation is.
	"defaults": {}, "private": {}, "rprivate": {}, "slave": {}, "rslave": {}, "shared": {}, "rshared": {}, "unbindable": {}, "runbindable": {},
}

// parseTmpfs reads DIRECTORY[:OPTIONS]. Of options that contradict each other the last one counts.
func parseTmpfs(text string) (runtime.Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := runtime.Mount{Type: "tmpfs", Target: path.Clean(target), Flags: tmpfsFlags}
	if err := checkTarget(target); err != nil {
		return m, err
	}
	data := map[string]string{}
	for _, o := range strings.Split(options, ",") {
		if options == "" {
			break
		}
		word, isFlag := tmpfsWords[o]
		key, value, given := strings.Cut(o, "=")
		switch {
		case isFlag && word.away:
			m.Flags &^= word.flag
		case isFlag:
			m.Flags |= word.flag
		case given:
			data[key] = value
		default:
			return m, fmt.Errorf("invalid tmpfs option %q", o)
		}
	}
	m.ReadOnly = m.Flags&unix.MS_RDONLY != 0
	if m.Flags &^= unix.MS_RDONLY; m.Flags == 0 {
		m.Flags = keptTimes
	}
	return m, setTmpfsData(&m, data)
}

// tmpfsSize is the kernel's grammar of a size.
var tmpfsSize = lazyregexp.New(`^[0-9]+([kKmMgGtTpPeE]|%)?$`)

// setTmpfsData sets the options that have a value. A size is in bytes, or a part of the memory (50%), or has one of the kernel's units.
func setTmpfsData(m *runtime.Mount, data map[string]string) (err error) {
	for _, key := range []string{"size", "nr_blocks", "nr_inodes", "mpol", "mode", "uid", "gid"} {
		value, given := data[key]
		delete(data, key)
		if !given {
			continue
		}
		switch key {
		case "mode":
			m.Mode, err = parseMode(value)
		case "uid":
			m.UID, err = strconv.Atoi(value)
		case "gid":
			m.GID, err = strconv.Atoi(value)
		default:
			if key == "size" && !tmpfsSize().MatchString(value) {
				err = errors.New("it is a number of bytes, with k, m, g or t, or a percentage of the memory")
			}
			m.Data = strings.TrimPrefix(m.Data+","+key+"="+value, ",")
		}
		if err != nil {
			return fmt.Errorf("invalid tmpfs option %s=%s: %w", key, value, err)
		}
	}
	for key := range data {
		return fmt.Errorf("invalid tmpfs option %q", key)
	}
	return nil
}

// parseMode reads the octal number of permissions.
func parseMode(s string) (*uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	mode := uint32(n)
	return &mode, err
}
