// This file owns the fields of RUN --mount that podman and buildah take and BuildKit's parser refuses. They are about SELinux
// labels, owners and mount propagation on the host, none of which a mount of a gbuild sandbox has: a Dockerfile that has them
// builds, and one hint says that they are without effect.

package dockerfile

import (
	"encoding/csv"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// podmanWords are whole fields, podmanKeys come with a value.
var (
	podmanWords = []string{"z", "Z", "U", "shared", "rshared", "slave", "rslave", "private", "rprivate", "no-dereference", "bind-nonrecursive",
		"nosuid", "nodev", "noexec", "suid", "dev", "exec", "tmpcopyup", "notmpcopyup"}
	podmanKeys = []string{"z", "Z", "U", "relabel", "bind-propagation", "consistency", "tmpfs-mode"}
)

// podmanSize is podman's name for the size of a tmpfs.
const podmanSize = "tmpfs-size="

// isPodmanField says whether a field of a mount is podman's, with a value or as a word.
func isPodmanField(field string) bool {
	key, _, given := strings.Cut(field, "=")
	if given {
		return slices.Contains(podmanKeys, key)
	}
	return slices.Contains(podmanWords, key)
}

// dropPodmanFields takes podman's fields out of the mounts of a RUN, and returns them as they were written.
func dropPodmanFields(node *parser.Node) (dropped []string) {
	if !strings.EqualFold(node.Value, "run") {
		return nil
	}
	for i, flag := range node.Flags {
		value, ok := strings.CutPrefix(flag, "--mount=")
		if !ok {
			continue
		}
		fields, err := csv.NewReader(strings.NewReader(value)).Read()
		if err != nil || !slices.ContainsFunc(fields, func(f string) bool { return isPodmanField(f) || strings.HasPrefix(f, podmanSize) }) {
			continue // the parser says what is wrong
		}
		var kept []string
		for _, f := range fields {
			if size, ok := strings.CutPrefix(f, podmanSize); ok {
				kept = append(kept, "size="+size)
			} else if isPodmanField(f) {
				dropped = append(dropped, f)
			} else {
				kept = append(kept, f)
			}
		}
		node.Flags[i] = "--mount=" + joinFields(kept)
	}
	return dropped
}

// joinFields writes fields as one line of CSV, the form of --mount.
func joinFields(fields []string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // memory does not fail
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// adapt prepares the instructions for BuildKit's parser: see protect and dropPodmanFields. Podman's fields of the whole
// Dockerfile get one hint, at the first RUN that has one.
func adapt(nodes []*parser.Node, lint *linter.Linter) {
	var dropped []string
	var at []parser.Range
	for _, node := range nodes {
		found := dropPodmanFields(node)
		if len(found) > 0 && at == nil {
			at = node.Location()
		}
		dropped = append(dropped, found...)
		protect(node)
	}
	if len(dropped) > 0 {
		slices.Sort(dropped)
		podmanField.say(lint, at, strings.Join(slices.Compact(dropped), ", "))
	}
}
