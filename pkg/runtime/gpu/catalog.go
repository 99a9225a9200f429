// This file owns the catalog: which devices this host has, by name, and what they add to a sandbox.

package gpu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	specs "tags.cncf.io/container-device-interface/specs-go"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// SpecDir is a directory of CDI specs. A spec names programs that run with the sandbox's rights, so one in a directory
// that is not the administrator's (User) must belong to this user and be writable by nobody else.
type SpecDir struct {
	Path string
	User bool
}

// hookDirs are the directories of which specs may name programs as hooks.
var hookDirs = []string{"/usr", "/bin", "/sbin", "/opt", "/nix/store"}

// Catalog has the CDI devices of this host: those that specs on disk describe, and NVIDIA's. If no spec on disk describes NVIDIA's,
// or one does that is stale, they come from a spec that is made in memory.
type Catalog struct {
	Errors  []error  // errors of specs that could not be read; the devices of other specs are there all the same
	Notices []string // a line for each spec that was ignored or made anew, with the reason

	devices  map[string]cdiDevice
	driver   func() (*Driver, error) // looks for NVIDIA's, once
	noDriver error                   // the reason why no NVIDIA spec could be made
	host     view
	hookDirs []string
}

// cdiDevice is one device, with the spec that has it.
type cdiDevice struct {
	spec  *cdiSpec
	edits specs.ContainerEdits
}

// cdiSpec is one spec, and where it comes from.
type cdiSpec struct {
	*specs.Spec
	file string // its name in messages
	dir  int    // the number of its directory; -1: it was made here
}

// OpenCatalog reads the specs and, where NVIDIA's are missing or stale, describes the driver itself.
// Nothing that is wrong with one spec is an error of the whole: see Errors and Notices. A later directory wins over an
// earlier one.
func OpenCatalog(ctx context.Context, dirs []SpecDir, at Place) *Catalog {
	return openCatalog(ctx, dirs, view{place: at}, hookDirs)
}

// openCatalog is OpenCatalog for any host.
func openCatalog(ctx context.Context, dirs []SpecDir, h view, hookDirs []string) *Catalog {
	c := &Catalog{devices: map[string]cdiDevice{}, host: h, hookDirs: hookDirs, driver: sync.OnceValues(func() (*Driver, error) { return h.driver(ctx) })}
	var read []*cdiSpec
	for i, d := range dirs {
		read = append(read, c.readDir(d, i)...)
	}
	version := h.version()
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
		c.generate()
	}
	return c
}

// generate adds the spec of this host's driver, or remembers why there is none until somebody asks for a GPU.
func (c *Catalog) generate() {
	d, err := c.driver()
	if err != nil {
		c.noDriver = err
		return
	}
	s, err := d.spec(true)
	if err != nil {
		c.noDriver = err
		return
	}
	c.Notices = append(c.Notices, d.Notices...)
	c.add(&cdiSpec{Spec: s, file: "the driver of this host", dir: -1})
}

// CheckRequirements holds what an image demands against the driver: see Driver.CheckRequirements. Without a driver there is nothing to
// compare with; that it is missing is said where its devices are looked up.
func (c *Catalog) CheckRequirements(env []string) error {
	d, err := c.driver()
	if err != nil {
		return nil
	}
	return d.CheckRequirements(env)
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
		if _, own := gpuKind(c.Names()); r.Count >= 0 && len(own) == 0 && len(names) == 1 && strings.HasSuffix(names[0], "=all") && !slices.Contains(r.DeviceIDs, "all") {
			c.Notices = append(c.Notices, "the GPUs of this host cannot be given one by one: all of them are given")
		}
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out, nil
}

// add takes the devices of a spec. What an earlier directory called the same gives way; in one directory the first stays.
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

// readDir reads the specs of one directory, in the order of their names. One that is not there is empty.
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

// Inject gives the edits of the named devices. A name that no spec has, and a spec that asks for something that no
// device needs (a mount of /, a path with "..", a hook outside the hook directories), are errors.
func (c *Catalog) Inject(names []string, o InjectOptions) (runtime.Edits, error) {
	in := &injection{options: o, hookDirs: c.hookDirs}
	caps, err := parseDriverCaps(o.Capabilities)
	if o.Capabilities == "" {
		caps, err = capsOf(o.Env)
	}
	if in.caps = caps; err != nil {
		return runtime.Edits{}, err
	}
	if err := c.check(names); err != nil {
		return runtime.Edits{}, err
	}
	if c.host.isJetson() {
		in.caps = capsAll // which files are for what, no table says
	}
	if err := c.ask(in, names); err != nil {
		return runtime.Edits{}, err
	}
	done := map[*cdiSpec]bool{}
	for _, n := range names {
		d, _ := c.device(n)
		all := []*specs.ContainerEdits{&d.edits}
		if !done[d.spec] {
			done[d.spec] = true
			all = []*specs.ContainerEdits{&d.spec.ContainerEdits, &d.edits}
		}
		in.complete = d.spec.dir < 0
		for _, e := range all {
			if err := in.apply(e, strings.HasPrefix(d.spec.Kind, "nvidia.com/")); err != nil {
				return runtime.Edits{}, fmt.Errorf("injecting %s of %s: %w", n, d.spec.file, err)
			}
		}
	}
	in.finish()
	return in.edits, nil
}

// ask takes what the environment asks for besides GPUs, where there is one of NVIDIA's.
func (c *Catalog) ask(in *injection, names []string) error {
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, nvidiaKind+"=") }) {
		return nil
	}
	a, err := c.host.askedFor(in.options.Env, in.options.Privileged)
	if err != nil {
		return err
	}
	if a.divides && slices.ContainsFunc(names, isInstance) {
		return &Error{"a container that has instances of a divided GPU cannot divide GPUs", "leave NVIDIA_MIG_CONFIG_DEVICES and NVIDIA_MIG_MONITOR_DEVICES out, or give whole GPUs"}
	}
	for _, n := range a.notices {
		in.notice("%s", n)
	}
	if err := in.apply(&a.edits, false); err != nil {
		return fmt.Errorf("injecting what the environment asks for: %w", err)
	}
	if jetpack, _ := lastEnv(in.options.Env, "NVIDIA_REQUIRE_JETPACK"); jetpack == "csv-mounts=all" && c.host.isJetson() {
		return in.apply(c.host.jetsonAll(), true)
	}
	return nil
}

// device finds a device by its name. That of no GPU is what all devices of NVIDIA's spec have in common.
func (c *Catalog) device(name string) (cdiDevice, bool) {
	if d, ok := c.devices[name]; ok || name != noGPU {
		return d, ok
	}
	for _, n := range c.Names() {
		if strings.HasPrefix(n, nvidiaKind+"=") {
			return cdiDevice{spec: c.devices[n].spec}, true
		}
	}
	return cdiDevice{}, false
}

// check refuses names that no spec has, with the reason that is most likely.
func (c *Catalog) check(names []string) error {
	var unknown []string
	for _, n := range names {
		if _, ok := c.device(n); !ok {
			unknown = append(unknown, n)
		}
	}
	if unknown == nil {
		return nil
	}
	if strings.HasPrefix(unknown[0], nvidiaKind) && c.noDriver != nil {
		return c.noDriver
	}
	err := unknownDevices(unknown, c.Names())
	if gpu, ok := errors.AsType[*Error](err); ok && len(c.Errors) > 0 {
		// The device may well be in the spec that could not be read.
		gpu.Remedy += "; " + c.Errors[0].Error()
	}
	return err
}
