package gpu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/pkg/parser"
	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// SpecDir is a directory of CDI specs. A spec names programs that run with the sandbox's rights, so one in a directory
// that is not the administrator's (User) must belong to this user and be writable by nobody else.
type SpecDir struct {
	Path string
	User bool
}

// CatalogOptions say where a Catalog looks.
type CatalogOptions struct {
	Dirs     []SpecDir // a later directory wins over an earlier one
	Host     Host      // where the NVIDIA driver is, for specs that are missing or stale
	HookDirs []string  // where the programs of hooks may lie; nil means DefaultHookDirs
}

// DefaultHookDirs are the directories of which specs may name programs as hooks.
var DefaultHookDirs = []string{"/usr", "/bin", "/sbin", "/opt", "/nix/store"}

// Catalog is the CDI devices of this host: those that specs describe, and NVIDIA's by a spec made in memory where none
// is there or the one there is stale.
type Catalog struct {
	Errors  []error  // specs that could not be read; they hide nothing of other specs
	Notices []string // what was ignored or regenerated and why

	devices  map[string]cdiDevice
	noDriver error // why no NVIDIA spec could be made
	hookDirs []string
}

type cdiDevice struct {
	spec  *cdiSpec
	edits specs.ContainerEdits
}

type cdiSpec struct {
	*specs.Spec
	file string
	dir  int
}

// maxSpec is far above what nvidia-ctk writes for 8 GPUs (40 KB).
const maxSpec = 4 << 20

// OpenCatalog reads the specs and, where NVIDIA's are missing or stale, describes the driver itself.
// Nothing that is wrong with one spec is an error of the whole: see Errors and Notices.
func OpenCatalog(ctx context.Context, o CatalogOptions) *Catalog {
	c := &Catalog{devices: map[string]cdiDevice{}, hookDirs: o.HookDirs}
	if c.hookDirs == nil {
		c.hookDirs = DefaultHookDirs
	}
	var read []*cdiSpec
	for i, d := range o.Dirs {
		read = append(read, c.readDir(d, i)...)
	}
	version := o.Host.version()
	usable := false
	for _, s := range read {
		if strings.HasPrefix(s.Kind, "nvidia.com/") {
			if why := stale(s.Spec, version); why != "" {
				c.Notices = append(c.Notices, fmt.Sprintf("%s is stale (%s); a spec of this driver is used instead", s.file, why))
				continue
			}
		}
		usable = usable || s.Kind == nvidiaKind
		c.add(s)
	}
	if !usable {
		c.generate(ctx, o.Host)
	}
	return c
}

// generate adds the spec of this host's driver, or remembers why there is none until somebody asks for a GPU.
func (c *Catalog) generate(ctx context.Context, h Host) {
	d, err := h.Driver(ctx)
	if err != nil {
		c.noDriver = err
		return
	}
	s, err := d.Spec()
	if err != nil {
		c.noDriver = err
		return
	}
	c.Notices = append(c.Notices, d.Notices...)
	c.add(&cdiSpec{Spec: s, file: "the driver of this host", dir: -1})
}

// Names lists the qualified names of all devices, sorted.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.devices)) }

// Resolve turns GPU requests into device names. It is Request.Names with the reason that this host has no GPU.
func (c *Catalog) Resolve(requests ...Request) ([]string, error) {
	var out []string
	for _, r := range requests {
		names, err := r.Names(c.Names())
		if err != nil {
			if kind, _ := gpuKind(c.Names()); kind == "" && c.noDriver != nil {
				return nil, c.noDriver
			}
			return nil, err
		}
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out, nil
}

func (c *Catalog) add(s *cdiSpec) {
	for _, d := range s.Devices {
		name := s.Kind + "=" + d.Name
		old, taken := c.devices[name]
		if taken && old.spec.dir == s.dir {
			c.Errors = append(c.Errors, fmt.Errorf("conflicting device %q (specs %q, %q): the first is used", name, old.spec.file, s.file))
			continue
		}
		c.devices[name] = cdiDevice{s, d.ContainerEdits}
	}
}

func (c *Catalog) readDir(d SpecDir, priority int) []*cdiSpec {
	entries, err := os.ReadDir(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.Errors = append(c.Errors, fmt.Errorf("reading CDI directory: %w", err))
		return nil
	}
	if why := untrusted(d.Path, d.User); why != "" {
		c.Notices = append(c.Notices, fmt.Sprintf("CDI directory %s is ignored: it is %s", d.Path, why))
		return nil
	}
	var out []*cdiSpec
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".json" && ext != ".yaml" {
			continue
		}
		file := filepath.Join(d.Path, e.Name())
		s, notice, err := readSpec(file, d.User)
		switch {
		case err != nil:
			c.Errors = append(c.Errors, fmt.Errorf("reading CDI spec %s: %w", file, err))
		case notice != "":
			c.Notices = append(c.Notices, fmt.Sprintf("CDI spec %s is ignored: it is %s", file, notice))
		default:
			out = append(out, &cdiSpec{s, file, priority})
		}
	}
	return out
}

// overflowUID is how files of users outside a user namespace look in it.
const overflowUID = 65534

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
	var sys unix.Stat_t
	if s, ok := statOf(st); ok {
		sys = s
	}
	switch {
	case st.Mode().Perm()&0o002 != 0:
		return "writable by everybody"
	case user && st.Mode().Perm()&0o020 != 0:
		return "writable by its group"
	case int(sys.Uid) != os.Getuid() && sys.Uid != 0 && (user || sys.Uid != overflowUID):
		return fmt.Sprintf("owned by another user (uid %d)", sys.Uid)
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
		if seen[d.Name] {
			return fmt.Errorf("device %q is described twice", d.Name)
		}
		seen[d.Name] = true
	}
	return nil
}

func hasNull(e *specs.ContainerEdits) bool {
	return slices.Contains(e.DeviceNodes, nil) || slices.Contains(e.Mounts, nil) || slices.Contains(e.Hooks, nil) || slices.Contains(e.NetDevices, nil)
}

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
