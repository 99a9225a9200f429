// This file owns the programs that are run for devices while a container starts, and the file that those programs read.

package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hooksOf lists the hooks of devices, in their order.
func hooksOf(devices []Edits) (list []DeviceHook) {
	for _, e := range devices {
		list = append(list, e.Hooks...)
	}
	return list
}

// writeBundle writes the config.json in which hooks look for the root, and NVIDIA's hook for its variables. It returns the
// directory of it.
func writeBundle(p *prepared, args []string) (string, error) {
	dir := filepath.Join(p.dir, "bundle")
	b, err := json.Marshal(map[string]any{"ociVersion": specs.Version, "root": map[string]any{"path": p.root},
		"process": map[string]any{"args": args, "cwd": "/", "env": nvidiaEnv(p.env)}})
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("writing the bundle for hooks: %w", err)
	}
	return dir, nil
}

// nvidiaEnv is what NVIDIA's hook reads in the configuration of the container.
func nvidiaEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		return !strings.HasPrefix(e, "NVIDIA_") && !strings.HasPrefix(e, "CUDA_VERSION=")
	})
}
