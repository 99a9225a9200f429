// This file owns what is mounted into a container, by -v (volumeflag.go), --mount (mountflag.go) and --tmpfs (tmpfsflag.go). The
// words are docker's, and so are the differences: -v makes a source that is missing, --mount refuses it. What comes out are mounts
// of the sandbox, but for those of volumes, which pkg/container makes binds of when it has leased them.

package running

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
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
	f.VarP((*cli.List)(&m.Volumes), "volume", "v", "[SOURCE:]TARGET[:ro]; a SOURCE without a slash is a volume (repeatable)")
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
				return cli.Usage(fmt.Errorf("%s %s: %w", kind.flag, text, err))
			}
			if err := m.add(flagMount{mount, kind.flag, text}); err != nil {
				return err
			}
		}
	}
	return nil
}

// add refuses a second mount on a directory, which would hide the first. As in docker, the same -v may be there twice, the last of
// several --tmpfs counts, and an anonymous volume gives way to what else is mounted in its place.
func (m *Mounts) add(one flagMount) error {
	i := slices.IndexFunc(m.parsed, func(other flagMount) bool { return other.Target == one.Target })
	switch {
	case i < 0:
		m.parsed = append(m.parsed, one)
	case m.parsed[i].anonymous(), one.flag == "--tmpfs" && m.parsed[i].flag == one.flag:
		m.parsed = append(slices.Delete(m.parsed, i, i+1), one)
	case one.anonymous(), one.flag == "-v" && one.Mount == m.parsed[i].Mount:
	default:
		return cli.Usage(hint.Errorf("each directory of the container takes one mount: leave out one of the two",
			"duplicate mount point: %s is that of %s %s and of %s %s", one.Target, m.parsed[i].flag, m.parsed[i].text, one.flag, one.text))
	}
	return nil
}

// anonymous says whether it is a volume of -v without a name.
func (m *flagMount) anonymous() bool { return m.flag == "-v" && m.Source == "" }

// fill mounts in the order of the flags: -v, --mount, --tmpfs.
func (m *Mounts) fill(box *runtime.Sandbox) error {
	for _, one := range m.parsed {
		if err := one.findSource(); err != nil {
			return err
		}
		one.notice(box.Notice)
		box.Mounts = append(box.Mounts, one.Mount)
	}
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

// notice says what of a mount is weaker than asked.
func (m *flagMount) notice(notice func(string)) {
	words := strings.FieldsFunc(strings.ToLower(m.text), func(c rune) bool { return strings.ContainsRune(":,=", c) })
	if modes := strings.Split(m.text[strings.LastIndex(m.text, ":")+1:], ","); m.flag == "-v" && slices.Contains(modes, podmanOwner) {
		notice(fmt.Sprintf("U of -v %s has no effect: the files keep their owners; run as their owner with --user, or change it before", m.text))
	}
	if m.Below.Later && (slices.Contains(words, "shared") || slices.Contains(words, "rshared")) {
		notice(fmt.Sprintf("what the container mounts in %s stays in it: of shared, only the host's own mounts are seen there", m.Target))
	}
}

// checkTarget says what is wrong with the directory that something is to be mounted on.
func checkTarget(target string) error {
	switch {
	case target == "":
		return errors.New("target is required")
	case !path.IsAbs(target):
		return fmt.Errorf("invalid mount path: '%s' mount path must be absolute", target)
	case path.Clean(target) == "/":
		return errors.New("invalid specification: destination can't be '/'")
	}
	return nil
}

// propagations are docker's words for how mounts that are made later cross a bind. The value says whether those of the host are
// seen in the container. Nothing of a container, whose user namespace is its own, can reach the host.
var propagations = map[string]bool{"private": false, "rprivate": false, "slave": true, "rslave": true, "shared": true, "rshared": true}
