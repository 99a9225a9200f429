// This file owns a base with a shell: Debian's static busybox.

package testimage

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Path is the PATH of the images.
const Path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// passwd and group are the users of the base: root, and some without rights.
const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`

const group = `root:x:0:
daemon:x:1:
audio:x:29:app
app:x:1000:
nogroup:x:65534:
`

// Shell returns an image with Debian's static busybox under all its names, the users root, daemon, app (1000) and
// nobody, and an empty /home/app. It is made once in a process.
func Shell() (v1.Image, error) { return shell() }

var shell = sync.OnceValues(func() (v1.Image, error) {
	files, err := busybox()
	if err != nil {
		return nil, err
	}
	base, err := scratch(runtime.GOARCH, v1.Config{Env: []string{Path}, Cmd: []string{"/bin/sh"}})
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"dev/", "etc/", "home/", "proc/", "sys/", "usr/", "usr/bin/", "usr/local/", "var/"} {
		files = append(files, File{Name: dir})
	}
	return Append(base, append(files,
		File{Name: "root/", Mode: 0o700},
		File{Name: "tmp/", Mode: 0o1777},
		File{Name: "home/app/", UID: 1000, GID: 1000},
		File{Name: "etc/passwd", Body: passwd},
		File{Name: "etc/group", Body: group},
	)...)
})

// busybox returns bin/ with the busybox of this machine, which must be static, and a link for each of its applets.
func busybox() ([]File, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("looking for busybox (Debian's busybox-static): %w", err)
	}
	if err := checkStatic(path); err != nil {
		return nil, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("asking busybox for its applets: %w", err)
	}
	files := []File{{Name: "bin/"}, {Name: "bin/busybox", Mode: 0o755, Body: string(body)}}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet != "busybox" {
			files = append(files, File{Name: "bin/" + applet, Type: '2', Link: "busybox", Mode: 0o777})
		}
	}
	return files, nil
}

// checkStatic refuses a program that needs libraries, which the image does not have.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		return fmt.Errorf("%s is not static (%v): install busybox-static", path, libs)
	}
	return nil
}
