// This file owns the grammar of -v: a directory or file of the host, a volume by its name, or a volume without one.

package running

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// podmanOwner is podman's option of -v that gives the source, with all that is in it, to the user of the container.
const podmanOwner = "U"

// volumeModes are the options of -v. Of those of one kind only one may be given.
var volumeModes = map[string]string{
	"rw": "access", "ro": "access", "z": "label", "Z": "label", "nocopy": "copy", "cached": "consistency", "delegated": "consistency", "consistent": "consistency",
	"private": "propagation", "rprivate": "propagation", "slave": "propagation", "rslave": "propagation", "shared": "propagation", "rshared": "propagation", podmanOwner: "owner",
}

// parseVolume reads [SOURCE:]TARGET[:OPTIONS].
func parseVolume(text string) (runtime.Mount, error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return runtime.Mount{}, errors.New("it is [SOURCE:]TARGET[:OPTIONS]")
	}
	if len(parts) == 1 {
		return runtime.Mount{Type: container.VolumeMount, Target: path.Clean(text)}, checkTarget(text)
	}
	if _, err := readModes(parts[1]); err == nil {
		return runtime.Mount{}, errors.New("the target is missing: it is [SOURCE:]TARGET[:OPTIONS]")
	}
	m := runtime.Mount{Target: path.Clean(parts[1])}
	if err := errors.Join(setSource(&m, parts[0]), checkTarget(parts[1])); err != nil || len(parts) == 2 {
		return m, err
	}
	modes, err := readModes(parts[2])
	if err != nil {
		return m, err
	}
	return m, setModes(&m, modes)
}

// setSource tells a name from a path. A name without a slash is a volume; "./data" and "/data" are directories of this host.
func setSource(m *runtime.Mount, source string) (err error) {
	switch {
	case path.IsAbs(source), strings.HasPrefix(source, "."):
		m.Type = "bind"
		m.Source, err = filepath.Abs(source)
		return err
	case container.IsName(source):
		m.Type, m.Source = container.VolumeMount, source
		return nil
	case strings.HasPrefix(source, "~"):
		return hint.Errorf(`the shell replaces ~ only where a word begins: write "$HOME`+strings.TrimPrefix(source, "~")+`:…"`, "%q is no path", source)
	case len(source) == 1, strings.Contains(source, `\`):
		return hint.Errorf("a path of Windows is /mnt/c/… in WSL", "%q is neither a path nor the name of a volume, which has two letters at least", source)
	}
	return hint.Errorf("write ./"+source+" for a directory of this host", "%q includes invalid characters for the name of a volume", source)
}

// readModes reads OPTIONS, by their kinds.
func readModes(text string) (map[string]string, error) {
	modes := map[string]string{}
	for _, mode := range strings.Split(text, ",") {
		kind, known := volumeModes[mode]
		if !known {
			return nil, fmt.Errorf("invalid mode: %s", text)
		}
		if before, twice := modes[kind]; twice {
			return nil, fmt.Errorf("invalid mode: %s: %s and %s exclude each other", text, before, mode)
		}
		modes[kind] = mode
	}
	return modes, nil
}

// setModes applies the options. Labels are for SELinux, which has none to give in a sandbox of its own user.
func setModes(m *runtime.Mount, modes map[string]string) error {
	_, propagates := modes["propagation"]
	switch {
	case m.Type == "bind" && modes["copy"] != "":
		return errors.New("nocopy is for volumes: a directory of this host is shown as it is")
	case m.Type != "bind" && propagates:
		return fmt.Errorf("%s is for directories of this host: nothing is mounted in a volume", modes["propagation"])
	case modes["copy"] != "":
		m.Type = container.EmptyVolumeMount
	}
	m.ReadOnly, m.Below.Later = modes["access"] == "ro", propagations[modes["propagation"]]
	return nil
}
