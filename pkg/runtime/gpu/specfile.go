// This file owns the reading of one CDI spec: whether it is to be believed, whether it is well formed, and whether it still
// fits this host.

package gpu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/pkg/parser"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// maxSpec is far above what nvidia-ctk writes for 8 GPUs (40 KB).
const maxSpec = 4 << 20

// overflowUID is how files of users outside a user namespace look in it.
const overflowUID = 65534

// untrusted says why a directory of specs is not to be believed, or "".
func untrusted(dir string, user bool) string {
	st, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	return untrustedInfo(st, user)
}

// untrustedInfo says why a file or directory of specs is not to be believed, or "". In a user namespace the
// administrator's files belong to nobody, so for their directories only the mode can be held against them.
func untrustedInfo(st fs.FileInfo, user bool) string {
	uid := 0
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		uid = int(sys.Uid)
	}
	switch {
	case st.Mode().Perm()&0o002 != 0:
		return "writable by everybody"
	case user && st.Mode().Perm()&0o020 != 0:
		return "writable by its group"
	case uid != os.Getuid() && uid != 0 && (user || uid != overflowUID):
		return fmt.Sprintf("owned by another user (uid %d)", uid)
	}
	return ""
}

// readSpec reads and checks one spec. The checks of its owner are made on the opened file.
func readSpec(file string, user bool) (s *specs.Spec, untrusted string, err error) {
	// O_NONBLOCK: a FIFO in the directory must not hang the start.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	if why := untrustedInfo(st, user); why != "" {
		return nil, why, nil
	}
	if !st.Mode().IsRegular() {
		return nil, "", errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSpec+1))
	if err != nil {
		return nil, "", err
	}
	if len(data) > maxSpec {
		return nil, "", fmt.Errorf("larger than %d MiB", maxSpec>>20)
	}
	s, err = cdi.ParseSpec(data)
	if err != nil {
		return nil, "", err
	}
	return s, "", validateSpec(s)
}

// validateSpec makes the checks of cdi.ReadSpec, which can only read by path.
func validateSpec(s *specs.Spec) error {
	if s == nil {
		return errors.New("no spec in it")
	}
	// YAML can say null where the library dereferences an entry.
	if hasNull(&s.ContainerEdits) || slices.ContainsFunc(s.Devices, func(d specs.Device) bool { return hasNull(&d.ContainerEdits) }) {
		return errors.New("an empty entry in its edits")
	}
	if err := specs.ValidateVersion(s); err != nil {
		return err
	}
	vendor, class := parser.ParseQualifier(s.Kind)
	if err := errors.Join(parser.ValidateVendorName(vendor), parser.ValidateClassName(class)); err != nil {
		return err
	}
	if len(s.Devices) == 0 {
		return errors.New("no devices in it")
	}
	if err := validateEdits(&s.ContainerEdits); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range s.Devices {
		d := &s.Devices[i]
		if err := errors.Join(parser.ValidateDeviceName(d.Name), validateEdits(&d.ContainerEdits)); err != nil {
			return fmt.Errorf("device %q: %w", d.Name, err)
		}
		if isEmpty(&d.ContainerEdits) {
			return fmt.Errorf("device %q has no edits", d.Name)
		}
		if seen[d.Name] {
			return fmt.Errorf("device %q is described twice", d.Name)
		}
		seen[d.Name] = true
	}
	return nil
}

// isEmpty says whether edits ask for nothing.
func isEmpty(e *specs.ContainerEdits) bool {
	return len(e.Env)+len(e.DeviceNodes)+len(e.Mounts)+len(e.Hooks)+len(e.AdditionalGIDs)+len(e.NetDevices) == 0 && e.IntelRdt == nil
}

// hasNull says whether a list of edits has an entry that is nothing.
func hasNull(e *specs.ContainerEdits) bool {
	return slices.Contains(e.DeviceNodes, nil) || slices.Contains(e.Mounts, nil) || slices.Contains(e.Hooks, nil) || slices.Contains(e.NetDevices, nil)
}

// validateEdits makes the library's checks.
func validateEdits(e *specs.ContainerEdits) error {
	return (&cdi.ContainerEdits{ContainerEdits: e}).Validate()
}

// driverSuffix finds the driver version in the name of a library.
var driverSuffix = lazyregexp.New(`^(?:libcuda|libnvidia-ml)\.so\.([0-9]+\.[0-9.]+)$`)

// stale says why a spec of NVIDIA's does not fit this host any more, or "". version is that of the running driver.
func stale(s *specs.Spec, version string) string {
	edits := []*specs.ContainerEdits{&s.ContainerEdits}
	for i := range s.Devices {
		edits = append(edits, &s.Devices[i].ContainerEdits)
	}
	for _, e := range edits {
		for _, n := range e.DeviceNodes {
			if f := hostPath(n); !optionalNode(n.Path) && !exists(f) {
				return f + " does not exist"
			}
		}
		for _, m := range e.Mounts {
			base := path.Base(m.HostPath)
			if strings.Contains(base, ".so.") && !exists(m.HostPath) {
				return m.HostPath + " does not exist"
			}
			if v := driverSuffix().FindStringSubmatch(base); v != nil && version != "" && v[1] != version {
				return fmt.Sprintf("it is of driver %s, running is %s", v[1], version)
			}
		}
	}
	return ""
}

// hostPath is where a node lies on the host.
func hostPath(n *specs.DeviceNode) string {
	if n.HostPath != "" {
		return n.HostPath
	}
	return n.Path
}

// optionalNode says whether CUDA works without a node, so that a missing one is only worth a notice.
func optionalNode(p string) bool {
	return strings.HasPrefix(p, "/dev/dri/") || strings.HasPrefix(p, "/dev/nvidia-caps-imex-channels/") ||
		p == "/dev/nvidia-modeset" || p == "/dev/nvidia-uvm-tools"
}
