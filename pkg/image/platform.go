// This file chooses the image of an index that is for a platform, and says for which platform an image is. It opens nothing.

package image

import (
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// attestationType marks the manifests that BuildKit puts into an index beside the images.
const attestationType = "vnd.docker.reference.type"

// choose picks the manifest for a platform. Where several variants of an architecture run on it, the newest wins. It
// also returns the platforms that exist. An entry without a platform counts only when it is alone.
func choose(manifests []v1.Descriptor, want v1.Platform) (*v1.Descriptor, []v1.Platform) {
	var have []v1.Platform
	var best, bare *v1.Descriptor
	bares := 0
	for i, d := range manifests {
		switch {
		case isAttestation(d) || !isManifest(d.MediaType):
		case d.Platform == nil:
			bare, bares = &manifests[i], bares+1
		default:
			have = append(have, *d.Platform)
			if runsOn(*d.Platform, want) && (best == nil || variant(*d.Platform) > variant(*best.Platform)) {
				best = &manifests[i]
			}
		}
	}
	if len(have) == 0 && bares == 1 {
		return bare, nil
	}
	return best, have
}

// isAttestation sees BuildKit's attestations: by their mark, or by a platform that is no machine's.
func isAttestation(d v1.Descriptor) bool {
	return d.Annotations[attestationType] != "" || (d.Platform != nil && (d.Platform.OS == unknown || d.Platform.Architecture == unknown))
}

// runsOn says whether an image for p runs on a machine that is want.
func runsOn(p, want v1.Platform) bool {
	return p.OS == want.OS && p.Architecture == want.Architecture && variant(p) <= variant(want) &&
		(want.OSVersion == "" || p.OSVersion == want.OSVersion)
}

// variant is the number of a variant. A missing one is the common machine: v7 for arm, v8 for arm64, v1 for amd64.
func variant(p v1.Platform) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(p.Variant, "v")); err == nil {
		return n
	}
	switch p.Architecture {
	case "arm":
		return 7
	case "arm64":
		return 8
	}
	return 1
}

// unknown is the operating system of what is an image in form only, as an entry of a shared cache is.
const unknown = "unknown"

// platformOf is the platform of an image as its entry in an index says it. An image whose config names no platform gets none there:
// readers take it for one of their own. Neither does an image that is for no machine: readers would pass it over.
func platformOf(c *v1.ConfigFile) *v1.Platform {
	if c.OS == "" || c.Architecture == "" || c.OS == unknown {
		return nil
	}
	return &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion, OSFeatures: c.OSFeatures}
}
