// This file owns the grammar of --mount: a line of CSV whose fields are NAME=VALUE.

package running

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// mountFlag is a --mount while its fields are read.
type mountFlag struct {
	runtime.Mount
	family                 string // whose options there are: bind, volume, tmpfs or image
	propagation, recursive string
	empty                  bool   // volume-nocopy
	subpath, driver, other string // options of volumes that gbuild does not have
}

// parseMount reads the fields of --mount, which come in any order; what they need of each other is looked at in the end. Names are
// taken in any case, and a source may have commas in quotes.
func parseMount(text string) (runtime.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return runtime.Mount{}, err
	}
	m := &mountFlag{Mount: runtime.Mount{Type: container.VolumeMount}}
	for _, f := range fields {
		key, value, given := strings.Cut(f, "=")
		key = strings.ToLower(key)
		if !given {
			switch key {
			case "readonly", "ro", "volume-nocopy", "bind-nonrecursive":
				value = "true"
			default:
				return runtime.Mount{}, fmt.Errorf("invalid field '%s' must be a key=value pair", f)
			}
		}
		if err := m.set(key, value); err != nil {
			return runtime.Mount{}, err
		}
	}
	return m.Mount, m.finish()
}

// set sets one field.
func (m *mountFlag) set(key, value string) (err error) {
	switch key {
	case "type":
		m.Type = strings.ToLower(value)
	case "source", "src":
		if m.Source = value; strings.HasPrefix(value, ".") {
			m.Source, err = filepath.Abs(value)
		}
	case "target", "dst", "destination":
		m.Target = value
	case "readonly", "ro":
		m.ReadOnly, err = strconv.ParseBool(value)
	case "consistency": // docker takes any word, and does nothing with it on Linux
	default:
		return m.setOption(key, value)
	}
	return fieldError(key, value, err)
}

// setOption sets a field that is for one type of mounts only.
func (m *mountFlag) setOption(key, value string) (err error) {
	family, _, _ := strings.Cut(key, "-")
	switch key {
	case "bind-propagation":
		m.propagation = strings.ToLower(value)
		if _, known := propagations[m.propagation]; !known && value != "" {
			err = errors.New("it is rprivate, rslave, rshared, private, slave or shared")
		}
	case "bind-nonrecursive":
		m.Below.Hidden, err = strconv.ParseBool(value)
	case "bind-recursive":
		switch m.recursive = value; value {
		case "enabled":
			return nil
		case "disabled":
			m.Below.Hidden = true
		case "writable", "readonly":
		default:
			err = errors.New("it is enabled, disabled, writable or readonly")
		}
	case "volume-nocopy":
		m.empty, err = strconv.ParseBool(value)
	case "volume-label": // volumes have none here
	case "volume-driver":
		m.driver = value
	case "volume-opt":
		m.other = key
	case "volume-subpath":
		m.subpath = value
	case "image-subpath":
	case "tmpfs-size":
		m.Size, err = units.RAMInBytes(value)
	case "tmpfs-mode":
		m.Mode, err = parseMode(value)
		if err == nil && *m.Mode == 0 {
			m.Mode = nil
		}
	default:
		return fmt.Errorf("unexpected key '%s'", key)
	}
	if err == nil && m.family != "" && m.family != family {
		err = fmt.Errorf("options of %s and of %s exclude each other", m.family, family)
	}
	m.family = family
	return fieldError(key, value, err)
}

func fieldError(key, value string, err error) error {
	if err != nil {
		return fmt.Errorf("invalid value for %s: %s: %w", key, value, err)
	}
	return nil
}

// finish looks at what the fields need of each other.
func (m *mountFlag) finish() error {
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	m.Target = path.Clean(m.Target)
	if m.family != "" && m.family != m.Type {
		return fmt.Errorf("cannot mix '%s-*' options with mount type '%s'", m.family, m.Type)
	}
	switch m.Type {
	case "bind":
		return m.finishBind()
	case container.VolumeMount:
		return m.finishVolume()
	case "tmpfs":
		m.Flags = tmpfsFlags
		if m.Source != "" {
			return errors.New("a tmpfs has no source")
		}
		return nil
	case "image":
		return hint.Errorf("copy what is needed into the image by COPY --from=IMAGE, or into a volume: gbuild run -v NAME:/to IMAGE cp -a /from/. /to", "images cannot be mounted")
	}
	return fmt.Errorf("mount type unknown: it is bind, volume or tmpfs, not %q", m.Type)
}

func (m *mountFlag) finishBind() error {
	switch {
	case m.Source == "":
		return errors.New("source is required")
	case !path.IsAbs(m.Source):
		return hint.Errorf("write ./"+m.Source, "invalid mount path: '%s' mount path must be absolute", m.Source)
	case m.recursive == "writable" && !m.ReadOnly, m.recursive == "readonly" && !m.ReadOnly:
		return fmt.Errorf("option 'bind-recursive=%s' requires 'readonly' to be specified in conjunction", m.recursive)
	case m.recursive == "readonly" && m.propagation != "rprivate":
		return errors.New("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")
	}
	m.Source = path.Clean(m.Source)
	m.Below.Writable, m.Below.Later = m.recursive == "writable", propagations[m.propagation]
	return nil
}

func (m *mountFlag) finishVolume() error {
	switch {
	case m.Source == "" && m.ReadOnly:
		return errors.New("a volume without a name is empty: it cannot be read-only")
	case m.Source == "" && m.subpath != "":
		return errors.New("a volume without a name has no volume-subpath")
	case m.Source != "" && !container.IsName(m.Source):
		return hint.Errorf("type=bind is for directories of this host", "%q is not the name of a volume", m.Source)
	case m.driver != "" && m.driver != "local":
		return fmt.Errorf("volume-driver %s: volumes are directories of gbuild's own, and there are no drivers", m.driver)
	case m.other != "":
		return hint.Errorf("mount it on this host, and give its directory by type=bind", "volume-opt: volumes are directories of gbuild's own, and nothing is mounted for them")
	case m.subpath != "":
		return hint.Errorf("gbuild volume inspect says where the volume is: give its directory by type=bind", "volume-subpath: a volume is mounted as a whole")
	}
	if m.empty {
		m.Type = container.EmptyVolumeMount
	}
	return nil
}
