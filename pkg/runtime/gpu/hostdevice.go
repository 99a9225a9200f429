// This file owns --device values that are paths of device nodes, such as /dev/fuse.

package gpu

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// HostDevice gives the edits for a --device value that is no CDI name: HOST[:CONTAINER][:PERMISSIONS], in which HOST
// is a device node or a directory of them, as in Docker.
func HostDevice(value string) (runtime.Edits, error) {
	parts := strings.Split(value, ":")
	host, target, perms := parts[0], parts[0], "rwm"
	switch {
	case len(parts) == 2 && !strings.HasPrefix(parts[1], "/"):
		perms = parts[1]
	case len(parts) == 2:
		target = parts[1]
	case len(parts) == 3:
		target, perms = parts[1], parts[2]
	}
	if len(parts) > 3 || !filepath.IsAbs(host) || perms == "" || strings.Trim(perms, "rwm") != "" {
		return runtime.Edits{}, &Error{fmt.Sprintf("invalid device %q", value), "write /dev/NAME[:/dev/NAME][:rwm], or a CDI name such as nvidia.com/gpu=all"}
	}
	in := &injection{}
	err := filepath.WalkDir(host, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return &Error{fmt.Sprintf("device %s cannot be used: %v", host, err), "CDI names are written vendor/class=name"}
		}
		if d.IsDir() || p != host && d.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		// The directory names a node that is mounted on a file, as in many containers, as that file.
		if st, err := os.Stat(p); p != host && (err != nil || st.Mode()&fs.ModeDevice == 0) {
			return nil
		}
		return in.device(&specs.DeviceNode{Path: target + strings.TrimPrefix(p, host), HostPath: p})
	})
	if err == nil && len(in.edits.Devices)+len(in.edits.Mounts) == 0 {
		err = fmt.Errorf("no device node in %s", host)
	}
	return in.edits, err
}
