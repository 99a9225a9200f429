package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"
)

// hasGPU says whether devices with libraries or hooks of a driver were asked for, not only a node.
func (r *run) hasGPU() bool {
	return slices.ContainsFunc(r.Devices, func(e Edits) bool { return len(e.Mounts)+len(e.Hooks) > 0 || !e.Root.Empty() })
}

// deviceNode binds a node of the host read-only: that keeps nobody from writing to the device, but root's command from
// changing the mode of the host's node.
func (r *run) deviceNode(n DeviceNode) (*configs.Mount, error) {
	m, err := r.mount(Mount{Type: "bind", Source: n.Source, Target: n.Target, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("mounting device %s: %w", n.Target, err)
	}
	m.Flags |= unix.MS_NOSUID | unix.MS_NOEXEC
	return m, nil
}

// deviceMounts are mounted last, so that no volume covers a driver.
func (r *run) deviceMounts() ([]*configs.Mount, error) {
	var list []*configs.Mount
	for _, e := range r.Devices {
		for _, n := range e.Devices {
			m, err := r.deviceNode(n)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
		for _, d := range e.Mounts {
			m, err := r.mount(Mount{Type: d.Type, Source: d.Source, Target: d.Target})
			if err != nil {
				return nil, fmt.Errorf("mounting %s of a device: %w", d.Target, err)
			}
			var data []string
			for _, o := range d.Options {
				if set, ok := mountFlags[o]; ok {
					m.Flags |= set
				} else if strings.Contains(o, "=") {
					data = append(data, o)
				}
			}
			if d.Type == "tmpfs" {
				m.Data = strings.Join(data, ",")
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// mountFlags are the options of mount(8) that devices have; propagation is always private.
var mountFlags = map[string]int{
	"ro": unix.MS_RDONLY, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV,
	"noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
}

// addHooks adds the hooks of devices, in their order, and what gbuild does itself in the root.
func (r *run) addHooks(c *configs.Config) error {
	c.Hooks = configs.Hooks{}
	for _, e := range r.Devices {
		for _, h := range e.Hooks {
			command := &configs.Command{Path: h.Path, Args: h.Args, Env: h.Env}
			if h.Timeout > 0 {
				command.Timeout = &h.Timeout
			}
			name := configs.HookName(h.When)
			c.Hooks[name] = append(c.Hooks[name], configs.CommandHook{Command: command})
		}
		if e.Root.Empty() {
			continue
		}
		args, err := e.Root.HookArgs(r.root)
		if err != nil {
			return err
		}
		own := &configs.Command{Path: selfExe, Args: append([]string{"gbuild"}, args...), Env: []string{"PATH=" + DefaultPath}}
		c.Hooks[configs.CreateContainer] = append(c.Hooks[configs.CreateContainer], configs.CommandHook{Command: own})
	}
	if len(c.Hooks) == 0 {
		return nil
	}
	return r.writeBundle(c)
}

// writeBundle writes the config.json in which hooks look for the root, and NVIDIA's hook for its variables.
func (r *run) writeBundle(c *configs.Config) error {
	dir := filepath.Join(r.dir, "bundle")
	env, err := r.environ()
	if err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"ociVersion": c.Version, "root": map[string]any{"path": r.root},
		"process": map[string]any{"args": r.Args, "cwd": "/", "env": legacyEnv(env)}})
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the bundle for hooks: %w", err)
	}
	c.Labels = append(c.Labels, "bundle="+dir)
	return nil
}

// legacyEnv is what NVIDIA's hook reads in the configuration of the container.
func legacyEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		return !strings.HasPrefix(e, "NVIDIA_") && !strings.HasPrefix(e, "CUDA_VERSION=")
	})
}
