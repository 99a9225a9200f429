// This file owns --gpus driver=nvidia.runtime-hook, by which NVIDIA's own hook is used in place of CDI. Docker
// knows it under that name. It is a program of NVIDIA's container tools, which must be installed.

package gpu

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// gpuDrivers are the values of driver= in --gpus. All but legacyDriver mean CDI, as those without one do.
var gpuDrivers = []string{"", "nvidia", "cdi", "nvidia.cdi", "amd", legacyDriver}

// legacyDriver is docker's name for NVIDIA's hook.
const legacyDriver = "nvidia.runtime-hook"

// Legacy says whether the request asks for NVIDIA's hook, nvidia-container-runtime-hook, in place of CDI devices. A
// driver that docker would not know either is an error.
func (r Request) Legacy() (bool, error) {
	if !slices.Contains(gpuDrivers, r.Driver) {
		return false, &Error{fmt.Sprintf("could not select device driver %q with capabilities: [%v]", r.Driver, r.Capabilities),
			"leave driver= out, or use one of " + strings.Join(gpuDrivers[1:], ", ")}
	}
	return r.Driver == legacyDriver, nil
}

// legacyConfig lets NVIDIA's tools work in a user namespace: they may not touch control groups or load modules there,
// and stay the user that they are.
const legacyConfig = `[nvidia-container-cli]
no-cgroups = true
load-kmods = false
ldconfig = "@%s"
user = "root:root"
`

// LegacyEdits are the edits by which NVIDIA's hook, a program of this host, gives GPUs to a container: by what it finds
// in the container's environment. dir, a private directory that outlives the container's start, gets its configuration.
func LegacyEdits(r Request, hook, dir string) (runtime.Edits, error) {
	ldconfig := hostLdconfig()
	if ldconfig == "" {
		ldconfig = "/sbin/ldconfig"
	}
	config := filepath.Join(dir, "nvidia-hook.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, legacyConfig, ldconfig), 0o600); err != nil {
		return runtime.Edits{}, fmt.Errorf("writing the configuration of NVIDIA's hook: %w", err)
	}
	env := []string{"NVIDIA_VISIBLE_DEVICES=" + r.visible()}
	if caps := r.DriverCapabilities(); caps != "" {
		env = append(env, "NVIDIA_DRIVER_CAPABILITIES="+caps)
	}
	return runtime.Edits{Env: env, Hooks: []runtime.DeviceHook{{
		When: "prestart", Path: hook, Args: []string{filepath.Base(hook), "-config", config, "prestart"},
		Env: []string{"PATH=" + filepath.Dir(hook) + ":" + runtime.DefaultPath},
	}}}, nil
}

// visible is the request in the words of NVIDIA_VISIBLE_DEVICES. A count means the first GPUs by index, as in docker.
func (r Request) visible() string {
	if len(r.DeviceIDs) > 0 {
		return strings.Join(r.DeviceIDs, ",")
	}
	if r.Count < 0 {
		return "all"
	}
	first := make([]string, r.Count)
	for i := range first {
		first[i] = strconv.Itoa(i)
	}
	return strings.Join(first, ",")
}

// hostLdconfig finds the host's ldconfig. Ubuntu's /sbin/ldconfig is a script around ldconfig.real.
func hostLdconfig() string {
	for _, p := range []string{"/sbin/ldconfig.real", "/usr/sbin/ldconfig.real", "/sbin/ldconfig", "/usr/sbin/ldconfig"} {
		if unix.Access(p, unix.X_OK) == nil {
			return p
		}
	}
	return ""
}
