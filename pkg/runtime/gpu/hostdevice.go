// This file owns --device values that are paths of device nodes, such as /dev/fuse.

package gpu

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// HostPath is a --device value that is no CDI name.
type HostPath struct{ Host, Target, Permissions string }

// devicePathRemedy shows the grammar.
const devicePathRemedy = "write /dev/NAME[:/dev/NAME][:rwm], or a CDI name such as nvidia.com/gpu=all"

// ParseDevice reads HOST[:CONTAINER][:PERMISSIONS] as docker does. Permissions that leave out reading or writing are refused: a node
// is bound as it is, and nothing would hold them.
func ParseDevice(value string) (HostPath, error) {
	parts := strings.Split(value, ":")
	d := HostPath{parts[0], parts[0], "rwm"}
	if len(parts) == 2 && arePermissions(parts[1]) {
		d.Permissions = parts[1]
	} else if len(parts) > 1 {
		d.Target = parts[1]
	}
	if len(parts) == 3 {
		d.Permissions = parts[2]
	}
	switch {
	case len(parts) > 3 || d.Host == "" || !path.IsAbs(d.Target) || !arePermissions(d.Permissions):
		return d, &Error{fmt.Sprintf("invalid device %q", value), devicePathRemedy}
	case !strings.Contains(d.Permissions, "r") || !strings.Contains(d.Permissions, "w"):
		return d, &Error{fmt.Sprintf("device %q: a device can be read and written to, or be left out", value), "leave out the permissions; who may open a device is said by the owner and mode of its node"}
	}
	d.Target = path.Clean(d.Target)
	return d, nil
}

// arePermissions says whether a text is made of r, w and m, each once at most.
func arePermissions(s string) bool {
	return s != "" && strings.Trim(s, "rwm") == "" && strings.Count(s, "r") < 2 && strings.Count(s, "w") < 2 && strings.Count(s, "m") < 2
}

// HostDevice gives the edits for a --device value that is no CDI name. It names a node, or a directory of them, as in Docker.
func HostDevice(value string) (runtime.Edits, error) {
	d, err := ParseDevice(value)
	if err != nil {
		return runtime.Edits{}, err
	}
	host := path.Clean(d.Host)
	if !path.IsAbs(host) {
		return runtime.Edits{}, &Error{fmt.Sprintf("device %s is no absolute path", host), devicePathRemedy}
	}
	in := &injection{}
	err = filepath.WalkDir(host, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return &Error{fmt.Sprintf("device %s cannot be used: %v", host, err), "CDI names are written vendor/class=name"}
		}
		if entry.IsDir() || p != host && entry.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		// The directory names a node that is mounted on a file, as in many containers, as that file.
		if st, err := os.Stat(p); p != host && (err != nil || st.Mode()&fs.ModeDevice == 0) {
			return nil
		}
		return in.device(&specs.DeviceNode{Path: d.Target + strings.TrimPrefix(p, host), HostPath: p})
	})
	if err == nil && len(in.edits.Devices)+len(in.edits.Mounts) == 0 {
		err = fmt.Errorf("no device node in %s", host)
	}
	return in.edits, err
}
