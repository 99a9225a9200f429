// This file owns the edits of a container's root that devices need, which this program makes as a hook of the container. The
// root is an image's, and not to be trusted: every path is opened inside it.

package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// rootHookArg is the first argument of our binary when it runs as the hook that makes RootEdits.
const rootHookArg = "internal-root-hook"

// rootHook is what the hook is told.
type rootHook struct {
	Root string
	RootEdits
}

// hookArgs gives the arguments, after the program's name, with which this program makes the edits in root. It is to be
// a createContainer hook: then the driver's libraries are mounted, the container's program does not run yet, and
// the mounts are those of the container.
func (r RootEdits) hookArgs(root string) ([]string, error) {
	b, err := json.Marshal(rootHook{root, r})
	if err != nil {
		return nil, fmt.Errorf("writing the edits of the root: %w", err)
	}
	return []string{rootHookArg, string(b)}, nil
}

// runRootHook makes the edits where args (os.Args without the program's name) are those of hookArgs.
func runRootHook(ctx context.Context, args []string) (mine bool, err error) {
	if len(args) != 2 || args[0] != rootHookArg {
		return false, nil
	}
	var h rootHook
	if err := json.Unmarshal([]byte(args[1]), &h); err != nil {
		return true, fmt.Errorf("reading the edits of the root: %w", err)
	}
	root, err := os.OpenFile(h.Root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return true, fmt.Errorf("opening root: %w", err)
	}
	defer root.Close()
	return true, h.apply(ctx, root)
}

// apply makes the edits below root, an open directory. No link of the image leads outside it: every path is opened
// component by component inside it.
func (r RootEdits) apply(ctx context.Context, root *os.File) error {
	if r.Glibc && muslOnly(root) {
		return &host.Missing{What: "this image uses musl libc, and NVIDIA's driver libraries need glibc",
			Remedy: "use an image of a distribution with glibc (Debian, Ubuntu, UBI), or one with gcompat installed"}
	}
	links, dirs := r.Links, r.LibraryDirs
	if compat, extra := compatLinks(root, r.CompatVersion); compat != "" {
		links = slices.Concat(links, extra)
		dirs = append([]string{compat}, dirs...)
	}
	if err := createSymlinks(root, links); err != nil {
		return err
	}
	if len(dirs) == 0 {
		return nil
	}
	// Without a cache the libraries are still found through LD_LIBRARY_PATH, so a root that is read-only or has no
	// loader, and a host without ldconfig, are no failures.
	_ = updateLdcache(ctx, root, dirs)
	return nil
}

// createSymlinks makes links below root, with their directories. What has the name already gives way, unless it is a
// directory or something mounted.
func createSymlinks(root *os.File, links []RootLink) error {
	for _, l := range links {
		if err := createSymlink(root, l); err != nil {
			return fmt.Errorf("making link %s: %w", l.Path, err)
		}
	}
	return nil
}

// createSymlink makes one link, unless it is there as it should be.
func createSymlink(root *os.File, l RootLink) error {
	dir, err := pathrs.MkdirAllHandle(root, path.Dir(l.Path), 0o755)
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
	return unix.Symlinkat(l.Target, fd, base)
}

const (
	confDir  = "/etc/ld.so.conf.d"
	confFile = "00-gbuild-nvidia.conf"
)

// updateLdcache names dirs to the container's loader and rebuilds its cache.
func updateLdcache(ctx context.Context, root *os.File, dirs []string) error {
	if err := writeInRoot(root, confDir, confFile, strings.Join(dirs, "\n")+"\n", true); err != nil {
		return err
	}
	if err := writeInRoot(root, "/etc", "ld.so.conf", "include "+confDir+"/*.conf\n", false); err != nil {
		return err
	}
	ldconfig := HostLdconfig()
	if ldconfig == "" {
		return &host.Missing{What: "no ldconfig on this host", Remedy: "install libc-bin or glibc"}
	}
	// -r changes the root before anything of the image is read, so its links lead nowhere else. The directories are
	// given as well: the image's ld.so.conf may not include ours. The program is the host's, with nothing of the image
	// or of our environment, and away from the image's files.
	cmd := exec.CommandContext(ctx, ldconfig, append([]string{"-r", "/proc/self/fd/3"}, dirs...)...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{}, "/", []*os.File{root}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running ldconfig: %w: %.300s", err, out)
	}
	return nil
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

// writeInRoot writes a file in a directory below root. An existing file gives way or, with replace false, stays.
func writeInRoot(root *os.File, dir, name, text string, replace bool) error {
	d, err := pathrs.MkdirAllHandle(root, dir, 0o755)
	if err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	defer d.Close()
	if replace {
		if err := unix.Unlinkat(int(d.Fd()), name, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("replacing %s/%s: %w", dir, name, err)
		}
	}
	// O_EXCL follows no link, not even a dangling one.
	fd, err := unix.Openat(int(d.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if errors.Is(err, unix.EEXIST) && !replace {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making %s/%s: %w", dir, name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// inRoot says whether the image has a path.
func inRoot(root *os.File, p string) bool {
	f, err := pathrs.OpenatInRoot(root, p)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// muslOnly says whether the image has the loader of musl libc and none of glibc.
func muslOnly(root *os.File) bool {
	musl := false
	for _, a := range []string{"x86_64", "aarch64"} {
		musl = musl || inRoot(root, "/lib/ld-musl-"+a+".so.1")
	}
	return musl && !inRoot(root, "/lib64/ld-linux-x86-64.so.2") && !inRoot(root, "/lib/ld-linux-aarch64.so.1")
}

const compatDir = "/usr/local/cuda/compat"

var (
	compatCuda = lazyregexp.New(`^libcuda\.so\.([0-9]+)\.[0-9.]+$`)
	compatName = lazyregexp.New(`^lib[A-Za-z0-9_-]+\.so\.[0-9]+$`)
)

// compatLinks says where the image keeps CUDA libraries for older drivers, if they are newer than this driver (an older
// libcuda over a newer module is CUDA error 803), and the links that put them before the driver's own.
func compatLinks(root *os.File, driver string) (dir string, links []RootLink) {
	host, err := strconv.Atoi(strings.SplitN(driver, ".", 2)[0])
	if err != nil {
		return "", nil
	}
	newest := 0
	for _, name := range readDirInRoot(root, compatDir) {
		if m := compatCuda().FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1])
			newest = max(newest, n)
		}
		if compatName().MatchString(name) {
			links = append(links, RootLink{compatDir + "/" + name, NvidiaLibraryDir + "/" + name})
		}
	}
	if newest <= host {
		return "", nil
	}
	return compatDir, links
}

// readDirInRoot lists the names in a directory of the image, in order; none where there is no such directory.
func readDirInRoot(root *os.File, p string) []string {
	h, err := pathrs.OpenatInRoot(root, p)
	if err != nil {
		return nil
	}
	defer h.Close()
	d, err := pathrs.Reopen(h, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, _ := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
