// This file owns what -o means, and what several of them mean together.

package output

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"maps"

	"github.com/gbuild/gbuild/internal/hint"
)

// imageOptions are what every output that writes an image can be told, annotations aside.
var imageOptions = []string{"compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp",
	"prefer-nondist-layers", "attestation-inline"}

// Parse makes an output of the fields of one -o.
func Parse(from map[string]string) (*Output, error) {
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == from["type"] })
	if i < 0 {
		return nil, fmt.Errorf("--output: unknown type %q; it is %s", from["type"], strings.Join(kindNames(), ", "))
	}
	out := &Output{kind: kinds[i], dest: from["dest"], name: from["name"]}
	if err := out.parse(from); err != nil {
		return nil, fmt.Errorf("--output type=%s: %w", kinds[i].name, err)
	}
	return out, nil
}

// kindNames are the types of -o as help and errors list them.
func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return names
}

// parse refuses what the kind does not know, and reads the rest: first what all images can be told, then what is the kind's
// own.
func (out *Output) parse(from fields) error {
	kind := out.kind
	for _, key := range slices.Sorted(maps.Keys(from)) {
		switch {
		case key == "type" || slices.Contains(kind.options, key):
		case kind.image && strings.HasPrefix(key, "annotation"):
			if err := out.annotate(strings.TrimPrefix(key, "annotation"), from[key]); err != nil {
				return err
			}
		case kind.image && slices.Contains(imageOptions, key):
		case key == "source-date-epoch":
			return hint.Errorf("give --source-date-epoch "+from[key], "source-date-epoch is for all outputs")
		default:
			return fmt.Errorf("unknown option %q", key)
		}
	}
	if kind.image {
		if err := out.setImage(from); err != nil {
			return err
		}
	}
	if kind.set == nil {
		return nil
	}
	return kind.set(out, from)
}

// setImage reads what every output that writes an image can be told.
func (out *Output) setImage(from fields) (err error) {
	ociTypes := true
	if err := from.boolean("oci-mediatypes", &ociTypes); err != nil {
		return err
	}
	out.dockerTypes = !ociTypes
	c := Compression{Algorithm: from["compression"], Level: from["compression-level"]}
	if err := from.boolean("force-compression", &c.Force); err != nil {
		return err
	}
	out.compression, err = c.parse()
	return err
}

// Check refuses outputs that cannot be written together, or without a name among those of the build.
func Check(outputs []*Output, names []string) error {
	stdout := 0
	for _, out := range outputs {
		if out.dest == "-" {
			stdout++
		}
		if out.kind.named && len(out.names(names)) == 0 {
			return hint.Errorf("add -t REGISTRY/NAME:TAG", "there is no name to push to")
		}
	}
	if stdout > 1 {
		return errors.New("--output: only one can be written to standard output")
	}
	return nil
}

// NeedFiles says whether an output is made of the files of the result.
func NeedFiles(outputs []*Output) bool {
	return slices.ContainsFunc(outputs, func(o *Output) bool { return o.kind.files })
}

// NoImage says whether there are outputs, and none of them needs an image. Without outputs, the image is kept in the store.
func NoImage(outputs []*Output) bool {
	return len(outputs) > 0 && !slices.ContainsFunc(outputs, func(o *Output) bool { return o.kind.image })
}
