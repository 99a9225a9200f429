// This file owns platforms: how they are written and compared, and how the types of two libraries become each other.

package dockerfile

import (
	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// toSpec and fromSpec carry a platform between go-containerregistry and containerd.
func toSpec(p v1.Platform) specs.Platform {
	return specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures}
}

func fromSpec(p specs.Platform) v1.Platform {
	return v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures}
}

// normalPlatform gives a platform its usual names: x86_64 is amd64, arm64/v8 is arm64.
func normalPlatform(p v1.Platform) v1.Platform { return fromSpec(platforms.Normalize(toSpec(p))) }

// parsePlatform reads OS/ARCH[/VARIANT], or one of them alone.
func parsePlatform(s string) (v1.Platform, error) {
	p, err := platforms.Parse(s)
	return fromSpec(p), err
}

// formatPlatform writes OS/ARCH[/VARIANT], and with all the version of the OS too.
func formatPlatform(p v1.Platform, all bool) string {
	if all {
		return platforms.FormatAll(toSpec(p))
	}
	return platforms.Format(toSpec(p))
}

// samePlatform says whether two run the same programs, whatever their variants are.
func samePlatform(a, b v1.Platform) bool { return a.OS == b.OS && a.Architecture == b.Architecture }

// fromConfig is the platform that the config of an image names.
func fromConfig(c *v1.ConfigFile) v1.Platform {
	return v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion, OSFeatures: c.OSFeatures}
}
