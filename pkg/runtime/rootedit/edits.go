// This file owns the edits, and their order.

package rootedit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// Edits are what NVIDIA's hooks would do in a container's root.
type Edits struct {
	Links       []Link
	LibraryDirs []string // directories that the loader's cache is to have
	Compat      Compat   // whether newer CUDA libraries of the image may be used
	Glibc       bool     // the driver's libraries need it
}

// Link is a symbolic link to make: Target is what it says, Path where it is in the container.
type Link struct{ Target, Path string }

// Empty says that there is nothing to do.
func (e Edits) Empty() bool { return len(e.Links) == 0 && len(e.LibraryDirs) == 0 && !e.Glibc }

// Make makes the edits. The driver's libraries must be there already. Links that would lie on something mounted are left out, and named.
func (e Edits) Make(ctx context.Context, p Place) (left []string, err error) {
	if e.Glibc && muslOnly(p) {
		return nil, &host.Missing{What: "this image uses musl libc, and NVIDIA's driver libraries need glibc",
			Remedy: "use an image of a distribution with glibc (Debian, Ubuntu, UBI), or one with gcompat installed"}
	}
	links, dirs := e.Links, e.LibraryDirs
	if compat, extra := compatLinks(p, e.Compat); compat != "" {
		links = slices.Concat(links, extra)
		dirs = append([]string{compat}, dirs...)
	}
	for _, l := range links {
		switch err := link(p, l); {
		case errors.Is(err, unix.EXDEV) && !p.Has(l.Path):
			left = append(left, l.Path)
		case err != nil && !errors.Is(err, unix.EXDEV):
			return left, fmt.Errorf("making link %s: %w", l.Path, err)
		}
	}
	if len(dirs) == 0 {
		return left, nil
	}
	// Without a cache the libraries are still found through LD_LIBRARY_PATH, so a root that is read-only or has no
	// loader, and a host without ldconfig, are no failures.
	_ = updateCache(ctx, p, dirs)
	return left, nil
}

// link makes one link, unless it is there as it should be. What has the name already gives way, unless it is a directory or
// something mounted.
func link(p Place, l Link) error {
	dir, err := p.makeDir(path.Dir(path.Clean(l.Path)))
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, base := int(dir.Fd()), path.Base(l.Path)
	buf := make([]byte, unix.PathMax)
	if n, err := unix.Readlinkat(fd, base, buf); err == nil && string(buf[:n]) == l.Target {
		return nil
	}
	switch err := unix.Unlinkat(fd, base, 0); {
	case err == unix.EBUSY:
		return nil
	case err != nil && err != unix.ENOENT:
		return err
	}
	if err := unix.Symlinkat(l.Target, fd, base); err != nil {
		return err
	}
	return p.own(dir, base)
}

const (
	cacheFile = "/etc/ld.so.cache"
	confFile  = "/etc/ld.so.conf.d/00-gbuild-nvidia.conf"
)

// updateCache names dirs to the container's loader and rebuilds its cache.
func updateCache(ctx context.Context, p Place, dirs []string) error {
	if err := p.write(confFile, strings.Join(dirs, "\n")+"\n", true); err != nil {
		return err
	}
	if err := p.write("/etc/ld.so.conf", "include "+path.Dir(confFile)+"/*.conf\n", false); err != nil {
		return err
	}
	etc, err := p.open("/etc", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer etc.Close()
	ldconfig := HostLdconfig()
	if ldconfig == "" {
		return &host.Missing{What: "no ldconfig on this host", Remedy: "install libc-bin or glibc"}
	}
	// -r changes the root before anything of the image is read, so its links lead nowhere else. The directories are
	// given as well: the image's ld.so.conf may not include ours. The program is the host's, with nothing of the image
	// or of our environment, and away from the image's files.
	cmd := exec.CommandContext(ctx, ldconfig, append([]string{"-r", "/proc/self/fd/3"}, dirs...)...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{}, "/", []*os.File{p.Root}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running ldconfig: %w: %.300s", err, out)
	}
	return p.own(etc, path.Base(cacheFile))
}

// HostLdconfig finds the host's ldconfig. Ubuntu's /sbin/ldconfig is a script around ldconfig.real.
func HostLdconfig() string {
	for _, p := range []string{"/sbin/ldconfig.real", "/usr/sbin/ldconfig.real", "/sbin/ldconfig", "/usr/sbin/ldconfig"} {
		if unix.Access(p, unix.X_OK) == nil {
			return p
		}
	}
	return ""
}

// muslOnly says whether the image has the loader of musl libc and none of glibc.
func muslOnly(p Place) bool {
	musl := false
	for _, a := range []string{"x86_64", "aarch64"} {
		musl = musl || p.Has("/lib/ld-musl-"+a+".so.1")
	}
	return musl && !p.Has("/lib64/ld-linux-x86-64.so.2") && !p.Has("/lib/ld-linux-aarch64.so.1")
}
