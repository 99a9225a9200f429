// This file owns -v, --mount and --tmpfs: what is mounted into a container. The words are docker's, and so are the
// differences: -v makes a source that is missing, --mount refuses it; a source of -v that could be a name is a volume. What
// comes out are mounts of the sandbox, but for those of volumes, which pkg/container makes binds of when it has leased them.

package running

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Mounts is the part about the three flags by which files come into a container.
type Mounts struct {
	Volumes, Mounts, Tmpfs []string

	parsed []flagMount
}

// flagMount is a mount, and the flag that asked for it.
type flagMount struct {
	runtime.Mount
	flag, text string
}

// Flags registers the flags. Their values are kept as text, so that an error can name the flag and what was given to it.
func (m *Mounts) Flags(f *pflag.FlagSet) {
	f.VarP((*cli.List)(&m.Volumes), "volume", "v", "SOURCE:TARGET[:ro]; a SOURCE without a slash is a volume (repeatable)")
	f.Var((*cli.List)(&m.Mounts), "mount", "type=bind|volume,source=…,target=…[,readonly] or type=tmpfs,target=… (repeatable)")
	f.Var((*cli.List)(&m.Tmpfs), "tmpfs", "DIRECTORY[:size=…,mode=…] (repeatable)")
}

// parse reads all three flags, and looks at no file: a source is looked for, or made, when the sandbox is filled. It keeps
// the order in which fill mounts.
func (m *Mounts) parse() error {
	for _, kind := range []struct {
		flag  string
		texts []string
		parse func(string) (runtime.Mount, error)
	}{{"-v", m.Volumes, parseVolume}, {"--mount", m.Mounts, parseMount}, {"--tmpfs", m.Tmpfs, parseTmpfs}} {
		for _, text := range kind.texts {
			mount, err := kind.parse(text)
			if err != nil {
				return err
			}
			m.parsed = append(m.parsed, flagMount{mount, kind.flag, text})
		}
	}
	return nil
}

// fill mounts in the order of the flags: -v, --mount, --tmpfs.
func (m *Mounts) fill(box *runtime.Sandbox) error {
	for _, one := range m.parsed {
		if err := one.findSource(); err != nil {
			return err
		}
		box.Mounts = append(box.Mounts, one.Mount)
	}
	m.noticeOwners(box.Notice)
	return nil
}

// findSource looks for the source of a bind. That of a -v which is missing is made as a directory, as docker does; that of
// a --mount must be there.
func (m *flagMount) findSource() error {
	if m.Type != "bind" {
		return nil
	}
	if _, err := os.Stat(m.Source); err == nil {
		return nil
	}
	if m.flag != "-v" {
		return hint.Errorf("make it, or use -v, which does", "invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
	}
	if err := os.MkdirAll(m.Source, 0o755); err != nil {
		return fmt.Errorf("making the source of -v %s: %w", m.text, err)
	}
	return nil
}

// ignoredModes are options of -v that say nothing to a sandbox in its own user namespace.
var ignoredModes = []string{"rw", "z", "Z", "cached", "delegated", "consistent", "private", "rprivate", "slave", "rslave", "shared", "rshared", podmanOwner}

// podmanOwner is podman's option of -v that gives the source, with all that is in it, to the user of the container.
const podmanOwner = "U"

// noticeOwners says that podmanOwner changes nothing here: files of the host keep their owners.
func (m *Mounts) noticeOwners(notice func(string)) {
	for _, v := range m.Volumes {
		if parts := strings.Split(v, ":"); len(parts) == 3 && slices.Contains(strings.Split(parts[2], ","), podmanOwner) {
			notice(fmt.Sprintf("U of -v %s has no effect: the files keep their owners; run as their owner with --user, or change it before", v))
		}
	}
}

// parseVolume reads SOURCE:TARGET[:OPTIONS].
func parseVolume(text string) (runtime.Mount, error) {
	parts := strings.Split(text, ":")
	// A target alone would be docker's anonymous volume, which gbuild does not have.
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !path.IsAbs(parts[1]) {
		return runtime.Mount{}, cli.Usagef("-v %s: it is SOURCE:TARGET[:ro], TARGET absolute", text)
	}
	// A name without a slash is a volume; "./data" and "/data" are directories of this host.
	m := runtime.Mount{Type: container.VolumeMount, Source: parts[0], Target: path.Clean(parts[1])}
	if !container.IsName(parts[0]) {
		source, err := filepath.Abs(parts[0])
		if err != nil {
			return runtime.Mount{}, err
		}
		m.Type, m.Source = "bind", source
	}
	if len(parts) == 3 {
		for _, mode := range strings.Split(parts[2], ",") {
			if mode == "ro" {
				m.ReadOnly = true
			} else if mode == "nocopy" && m.Type != "bind" {
				m.Type = container.EmptyVolumeMount
			} else if !slices.Contains(ignoredModes, mode) {
				return runtime.Mount{}, cli.Usagef("-v %s: invalid mode: %s", text, mode)
			}
		}
	}
	return m, nil
}

// parseMount reads the fields of --mount, which are a line of CSV: a source may have commas in quotes.
func parseMount(text string) (runtime.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return runtime.Mount{}, cli.Usagef("--mount %s: %w", text, err)
	}
	m := runtime.Mount{Type: container.VolumeMount}
	for _, f := range fields {
		key, value, given := strings.Cut(f, "=")
		if err := setMount(&m, key, value, given); err != nil {
			return runtime.Mount{}, cli.Usagef("--mount %s: %w", text, err)
		}
	}
	if m.Type == "bind" && m.Source != "" {
		if m.Source, err = filepath.Abs(m.Source); err != nil {
			return runtime.Mount{}, err
		}
	}
	// The fields come in any order, so what they need of each other is looked at when all are there.
	isVolume := container.IsVolume(m)
	switch {
	case isVolume && !container.IsName(m.Source):
		err = errors.New("source is required: the name of a volume")
	case m.Type != "bind" && m.Type != "tmpfs" && !isVolume:
		err = fmt.Errorf("type %q is not bind, volume or tmpfs", m.Type)
	case !path.IsAbs(m.Target):
		err = errors.New("target is required, and absolute")
	case m.Type == "bind" && m.Source == "":
		err = errors.New("source is required")
	}
	if err != nil {
		return runtime.Mount{}, cli.Usagef("--mount %s: %w", text, err)
	}
	return m, nil
}

// setMount sets one field. Those of docker that mean nothing in a sandbox of its own user are passed over.
func setMount(m *runtime.Mount, key, value string, given bool) (err error) {
	switch key {
	case "type":
		m.Type = value
	case "source", "src":
		m.Source = value
	case "target", "dst", "destination":
		m.Target = value
	case "readonly", "ro":
		m.ReadOnly = true
		if given {
			m.ReadOnly, err = strconv.ParseBool(value)
		}
	case "tmpfs-size":
		m.Size, err = units.RAMInBytes(value)
	case "tmpfs-mode":
		m.Mode, err = parseMode(value)
	case "volume-nocopy":
		m.Type = container.EmptyVolumeMount
	case "bind-propagation", "bind-recursive", "bind-nonrecursive", "consistency", "relabel", "volume-driver", "volume-label":
	default:
		err = fmt.Errorf("unexpected key '%s'", key)
	}
	return err
}

// parseMode reads the octal number of permissions.
func parseMode(s string) (*uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	mode := uint32(n)
	return &mode, err
}

// parseTmpfs reads DIRECTORY[:OPTIONS].
func parseTmpfs(text string) (runtime.Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := runtime.Mount{Type: "tmpfs", Target: target}
	if !path.IsAbs(target) {
		return m, cli.Usagef("--tmpfs %s: the directory is not absolute", text)
	}
	for _, o := range strings.FieldsFunc(options, func(c rune) bool { return c == ',' }) {
		key, value, _ := strings.Cut(o, "=")
		var err error
		switch key {
		case "size":
			m.Size, err = units.RAMInBytes(value)
		case "mode":
			m.Mode, err = parseMode(value)
		case "uid":
			m.UID, err = strconv.Atoi(value)
		case "gid":
			m.GID, err = strconv.Atoi(value)
		case "ro":
			m.ReadOnly = true
		// docker takes these, too; here they change nothing.
		case "rw", "exec", "noexec", "nosuid", "suid", "nodev", "dev":
		default:
			err = fmt.Errorf("unknown option %q", o)
		}
		if err != nil {
			return m, cli.Usagef("--tmpfs %s: %w", text, err)
		}
	}
	return m, nil
}
