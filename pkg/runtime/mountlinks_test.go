package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// linkedMounts are mounts whose targets lead over symbolic links, of the image or of what another mount shows.
// HOST stands for a directory of the host with a directory "inner" and the links that links names.
var linkedMounts = []struct {
	name    string
	image   map[string]string // links of the image: where, and to what
	host    map[string]string // links of the source HOST
	mounts  []Mount
	want    string // paths that are mount points in the sandbox
	refused bool
}{
	{"absolute link of the image", map[string]string{"/link": "/data"}, nil, []Mount{{Type: "tmpfs", Target: "/link/x"}}, "/data/x", false},
	{"relative link of the image", map[string]string{"/srv": "opt/data"}, nil, []Mount{{Type: "tmpfs", Target: "/srv/x"}}, "/opt/data/x", false},
	{"chain", map[string]string{"/a1": "b1", "/b1": "/c1", "/c1": "../d1"}, nil, []Mount{{Type: "tmpfs", Target: "/a1/x/y"}}, "/d1/x/y", false},
	{"dots", map[string]string{"/up": "../../../data"}, nil, []Mount{{Type: "tmpfs", Target: "/up/x/../y"}}, "/data/y", false},
	{"dangling", map[string]string{"/gone": "/not/there/yet"}, nil, []Mount{{Type: "tmpfs", Target: "/gone"}}, "/not/there/yet", false},
	{"absolute link of a mount", nil, map[string]string{"link": "/data"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/link/x"}}, "/cache /data/x", false},
	{"relative link of a mount", nil, map[string]string{"link": "../data"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/link/x"}}, "/cache /data/x", false},
	{"link inside a mount", nil, map[string]string{"link": "inner"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/link"}}, "/cache /cache/inner", false},
	{"link back into a mount", map[string]string{"/back": "/cache/inner"}, map[string]string{"link": "/back"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/link"}}, "/cache /cache/inner", false},
	{"three deep", nil, map[string]string{"link": "/data"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "bind", Source: "HOST", Target: "/cache/link/x"}, {Type: "tmpfs", Target: "/cache/link/x/link/y"}}, "/cache /data/x /data/y", false},
	{"dangling link of a mount", nil, map[string]string{"link": "/no/such"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/link/x"}}, "/cache /no/such/x", false},
	{"a file", map[string]string{"/link": "/data"}, nil, []Mount{{Type: "bind", Source: "/dev/null", Target: "/link/file"}}, "/data/file", false},
	{"shared memory by a link", map[string]string{"/shm": "/dev/shm"}, nil, []Mount{{Type: "tmpfs", Target: "/shm"}}, "/dev/shm", false},
	{"shared memory itself", nil, nil, []Mount{{Type: "tmpfs", Target: "/dev/shm"}}, "/dev/shm", false},
	{"a name in /dev", nil, nil, []Mount{{Type: "bind", Source: "HOST", Target: "/dev/foo"}}, "/dev/foo", false},
	{"messages", nil, nil, []Mount{{Type: "tmpfs", Target: "/dev/mqueue"}}, "/dev/mqueue", false},
	{"/dev by a link", map[string]string{"/d": "/dev"}, nil, []Mount{{Type: "bind", Source: "HOST", Target: "/d"}}, "", true},
	{"/dev by dots", map[string]string{"/d": "/etc/../dev"}, nil, []Mount{{Type: "tmpfs", Target: "/d/"}}, "", true},
	{"/dev by a link of a mount", nil, map[string]string{"d": "/dev"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/d"}}, "", true},
	{"terminals by a link", map[string]string{"/d": "/dev"}, nil, []Mount{{Type: "tmpfs", Target: "/d/pts"}}, "", true},
	{"a device by a link", map[string]string{"/n": "/dev/null"}, nil, []Mount{{Type: "bind", Source: "/etc/passwd", Target: "/n"}}, "", true},
	{"/proc by a link of a mount", nil, map[string]string{"p": "/proc"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/p/sys"}}, "", true},
	{"/sys by a chain", map[string]string{"/s1": "/s2", "/s2": "sys"}, nil, []Mount{{Type: "tmpfs", Target: "/s1"}}, "", true},
	{"the root by a link of a mount", nil, map[string]string{"r": "/"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/r"}}, "", true},
	{"a loop", nil, map[string]string{"l": "l"}, []Mount{{Type: "bind", Source: "HOST", Target: "/cache"}, {Type: "tmpfs", Target: "/cache/l/x"}}, "", true},
}

// Wherever links lead, the mount is there, no mount point stays behind, and the sandbox's own mounts are not covered.
func TestMountsThroughLinks(t *testing.T) {
	for _, c := range linkedMounts {
		t.Run(c.name, func(t *testing.T) {
			root, upper := busyboxRoot(t)
			host := t.TempDir()
			must(t, os.Mkdir(host+"/inner", 0o755))
			made := map[string]bool{"/etc": true, "/tmp": true, "/dev": true} // places where something stands, or stood, for a while
			for at, to := range c.image {
				must(t, os.Symlink(to, root+at))
				made[at] = true
			}
			for at, to := range c.host {
				must(t, os.Symlink(to, host+"/"+at))
			}
			s, out := shell(t, root, "for p in "+c.want+`; do grep -q " $p " /proc/mounts && echo on $p; done; ls /dev/null /dev/pts >/dev/null || echo broken`)
			for _, m := range c.mounts {
				m.Source = strings.Replace(m.Source, "HOST", host, 1)
				s.Mounts = append(s.Mounts, m)
			}
			err := s.Run(context.Background())
			var want strings.Builder
			for _, p := range strings.Fields(c.want) {
				fmt.Fprintln(&want, "on", p)
			}
			if refused := err != nil; refused != c.refused || out.String() != want.String() {
				t.Errorf("refused: %v (%v); %q, want %q", refused, err, out, want.String())
			}
			for _, p := range strings.Fields(changes(t, upper)) {
				if !made[p] {
					t.Errorf("%s is left in the layer", p)
				}
			}
			empty(t, s.StateDir)
		})
	}
}

// A mount that the sandbox shows read-only is so, whatever is below it there; a tmpfs has the mode of what it covers.
func TestMountsKeepTheirOptions(t *testing.T) {
	root, _ := busyboxRoot(t)
	host := t.TempDir()
	must(t, os.MkdirAll(host+"/sub", 0o755))
	must(t, unix.Mount("tmpfs", host+"/sub", "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(host+"/sub", unix.MNT_DETACH)) })
	must(t, os.Mkdir(root+"/covered", 0o700))
	must(t, os.Chmod(root+"/covered", os.ModeSticky|0o750))
	got := runShell(t, root, "touch /ro/x /ro/sub/x 2>&1; touch /rw/sub/x && echo written; stat -c %a /covered /new; umount /ro 2>&1 | grep -c umount", func(s *Sandbox) {
		s.Mounts = []Mount{{Type: "bind", Source: host, Target: "/ro", ReadOnly: true}, {Type: "bind", Source: host, Target: "/rw"},
			{Type: "tmpfs", Target: "/covered"}, {Type: "tmpfs", Target: "/new"}}
	})
	if strings.Count(got, "Read-only file system") != 2 || !strings.HasSuffix(got, "written\n1750\n1777\n1\n") {
		t.Errorf("%q", got)
	}
}

// What is mounted in the source of a bind is left out, stays writable, or comes later, as asked; a tmpfs has the flags that it was given.
func TestMountsBelow(t *testing.T) {
	root, _ := busyboxRoot(t)
	host := t.TempDir()
	must(t, errors.Join(unix.Mount(host, host, "", unix.MS_BIND, ""), unix.Mount("", host, "", unix.MS_SHARED, "")))
	must(t, errors.Join(os.Mkdir(host+"/sub", 0o755), os.Mkdir(host+"/later", 0o755), unix.Mkfifo(host+"/go", 0o600)))
	must(t, unix.Mount("tmpfs", host+"/sub", "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(host, unix.MNT_DETACH)) })
	must(t, os.WriteFile(host+"/sub/file", nil, 0o600))
	mounted := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(host+"/go", os.O_WRONLY, 0) // waits for the command
		mounted <- errors.Join(err, unix.Mount("tmpfs", host+"/later", "tmpfs", 0, ""), os.WriteFile(host+"/later/come", nil, 0o600), f.Close())
	}()
	got := runShell(t, root, `ls /hidden/sub; touch /writable/sub/x && echo written; touch /writable/x 2>/dev/null || echo read-only
		cat /later/go; ls /later/later /hidden/later; grep " /flags " /proc/mounts`, func(s *Sandbox) {
		s.Mounts = []Mount{{Type: "bind", Source: host, Target: "/hidden", Below: Below{Hidden: true}}, {Type: "bind", Source: host, Target: "/later", Below: Below{Later: true}},
			{Type: "bind", Source: host, Target: "/writable", ReadOnly: true, Below: Below{Writable: true}},
			{Type: "tmpfs", Target: "/flags", Flags: unix.MS_NOEXEC | unix.MS_NOSUID, Data: "nr_inodes=77"}}
	})
	must(t, <-mounted)
	if !strings.HasPrefix(got, "written\nread-only\n/hidden/later:\n\n/later/later:\ncome\n") || !strings.Contains(got, "nosuid,noexec,") || !strings.Contains(got, "nr_inodes=77") {
		t.Errorf("%q", got)
	}
}
