// This file owns where credentials come from that no file has, and what is said of those that are missing.

package kaniko

import (
	"errors"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image"
)

// sources are what kaniko asks where config.json has nothing, in its order.
var sources = []string{"env", "google", "ecr", "acr", "gitlab"}

// ambient are those of them that are asked. One that is not known is passed over, as kaniko does.
func (l *Line) ambient() []string {
	if len(l.Helpers) == 0 {
		return sources
	}
	return slices.DeleteFunc(slices.Clone(l.Helpers), func(name string) bool { return !slices.Contains(sources, name) })
}

// explained says of a refusal by a registry of a cloud what it takes there.
func (l *Line) explained(err error) error {
	var refused *image.UnauthorizedError
	if !errors.As(err, &refused) || refused.Tried != "" {
		return err
	}
	if helper, needs := image.CloudHelper(refused.Host); helper != "" {
		return hint.Wrap(err, "no credentials were found for "+refused.Host+": put docker-credential-"+helper+" on PATH, which takes "+needs+
			", or a login into "+strings.TrimSuffix(l.Dir, "/")+"/.docker/config.json")
	}
	return err
}
