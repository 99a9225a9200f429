// This file owns what the loader of a container is told of a driver's libraries. ldconfig would open every library of the image for that;
// here the driver's are added to what the image's cache has.

package rootedit

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/ldcache"
)

const (
	cacheFile = "/etc/ld.so.cache"
	confFile  = "/etc/ld.so.conf.d/00-gbuild-nvidia.conf"
)

// updateCache names dirs to the container's loader, for when ldconfig is run there, and adds what of the libraries lies in them to its
// cache. Those of an earlier directory are found before those of a later one, and all before the image's own.
func updateCache(p Place, dirs, libraries []string) error {
	if err := p.write(confFile, strings.Join(dirs, "\n")+"\n", true); err != nil {
		return err
	}
	if err := p.write("/etc/ld.so.conf", "include "+path.Dir(confFile)+"/*.conf\n", false); err != nil {
		return err
	}
	var found []ldcache.Library
	for _, dir := range dirs {
		for _, l := range libraries {
			if path.Dir(l) != path.Clean(dir) {
				continue
			}
			if flags := p.libraryFlags(l); flags != 0 {
				found = append(found, ldcache.Library{Flags: flags, Name: path.Base(l), Path: l})
			}
		}
	}
	// An image without a cache gets one of these alone: all else its loader looks for as before.
	cache := p.readCache()
	cache.Add(found...)
	text, err := cache.Bytes()
	if err != nil {
		return fmt.Errorf("making the loader's cache: %w", err)
	}
	return p.write(cacheFile, string(text), true)
}

// readCache reads the image's cache. One that cannot be read is empty, as it is to the loader.
func (p Place) readCache() *ldcache.Cache {
	f, err := p.open(cacheFile, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return &ldcache.Cache{}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, ldcache.MaxSize+1))
	if err != nil {
		return &ldcache.Cache{}
	}
	cache, err := ldcache.Parse(text)
	if err != nil {
		return &ldcache.Cache{}
	}
	return cache
}

// libraryFlags says for which processor a library is, on whatever it is mounted; 0 where it is none.
func (p Place) libraryFlags(name string) int32 {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(p.Root.Fd()), name, how)
	if err != nil {
		return 0
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var start [20]byte // of an ELF file, up to its machine
	if _, err := io.ReadFull(f, start[:]); err != nil || string(start[:4]) != elf.ELFMAG || elf.Data(start[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return 0
	}
	switch machine := elf.Machine(start[18]); {
	case start[19] != 0:
	case machine == elf.EM_X86_64 && elf.Class(start[elf.EI_CLASS]) == elf.ELFCLASS64:
		return ldcache.FlagsX8664
	case machine == elf.EM_AARCH64:
		return ldcache.FlagsARM64
	case machine == elf.EM_386:
		return ldcache.FlagsX86
	}
	return 0
}
