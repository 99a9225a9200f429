// This file owns what the loader's cache of a driver root, /etc/ld.so.cache, says of the driver: the directories of its libraries.

package gpu

import (
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime/ldcache"
)

// cachedDirs are the directories below a driver root in which its loader's cache has libraries of NVIDIA's for this machine.
func cachedDirs(root string) []string {
	f, err := os.Open(root + "/etc/ld.so.cache")
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, ldcache.MaxSize+1))
	if err != nil {
		return nil
	}
	return driverDirs(text)
}

// driverDirs are those directories as the text of a cache has them; what is no cache has none.
func driverDirs(text []byte) []string {
	cache, err := ldcache.Parse(text)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, l := range cache.Libraries {
		dir := path.Dir(l.Path)
		if l.Flags == ldcache.NativeFlags && isDriverLibrary(l.Name) && path.IsAbs(l.Path) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// isDriverLibrary says whether a library is one by which the driver's directories are known.
func isDriverLibrary(name string) bool {
	return strings.HasPrefix(name, "libcuda.so") || strings.HasPrefix(name, "libnvidia-")
}
