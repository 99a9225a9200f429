package procfs

import (
	"slices"
	"strings"
	"testing"
)

// What is kept of a place is told by what the kernel says of mounts, whatever its names are.
func TestMountPoints(t *testing.T) {
	for name, c := range map[string]struct{ dir, mountinfo, want string }{
		"a default container": {"/", `500 400 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b,upperdir=/u
501 500 0:53 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
502 500 0:54 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
503 502 0:55 / /dev/pts rw - devpts devpts rw
504 500 8:1 /var/lib/docker/containers/x/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
505 501 0:53 /bus /proc/bus ro,relatime - proc proc rw`, "/proc|/dev|/dev/pts|/etc/resolv.conf|/proc/bus"},
		"files over files, read-only": {"/", `9 1 8:1 /usr/lib/libcuda.so.535 /usr/lib/x86_64-linux-gnu/libcuda.so.535 ro,nosuid,nodev - ext4 /dev/sda1 rw`,
			"/usr/lib/x86_64-linux-gnu/libcuda.so.535"},
		"octal escapes": {"/", `9 1 8:1 / /a\040b\011c\012d\134e\043f rw - ext4 /dev/sda1 rw`, "/a b\tc\nd\\e#f"},
		"no escapes":    {"/", `9 1 8:1 / /a\b\18\9 rw - ext4 /dev/sda1 rw`, `/a\b\18\9`},
		"other spaces":  {"/", "9 1 8:1 / /a\u00a0b\u2003c rw - ext4 /dev/sda1 rw", "/a\u00a0b\u2003c"},
		"no UTF-8":      {"/", "9 1 8:1 / /a\xff\xfe rw - ext4 /dev/sda1 rw", "/a\xff\xfe"},
		"nested, and one over another": {"/", `9 1 8:1 / /a rw - ext4 /dev/sda1 rw
10 9 8:2 / /a/b/c rw - ext4 /dev/sda2 rw
11 10 8:3 / /a/b/c rw - ext4 /dev/sda3 rw`, "/a|/a/b/c|/a/b/c"},
		"through a link the kernel names what it leads to": {"/", `9 1 0:9 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw`,
			"/run/secrets/kubernetes.io/serviceaccount"},
		"optional fields":      {"/", `9 1 8:1 / /a rw shared:1 master:2 propagate_from:3 unbindable - ext4 /dev/sda1 rw`, "/a"},
		"a name that is gone":  {"/", `9 1 8:1 / /a//deleted rw - ext4 /dev/sda1 rw`, ""},
		"below a directory":    {"/x/tree", "9 1 8:1 / /x/tree rw - t d rw\n9 1 8:1 / /x/tree/a rw - t d rw\n9 1 8:1 / /x/trees rw - t d rw\n9 1 8:1 / /x rw - t d rw", "/a"},
		"with a slash":         {"/x/tree/", `9 1 8:1 / /x/tree/a rw - t d rw`, "/a"},
		"nothing, and no line": {"/", "\n\n9 1 8:1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, "|")
			}
			if got := MountPoints(c.mountinfo, c.dir); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

const docker = `1082 1034 0:65 / / rw,relatime master:363 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
1083 1082 0:68 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1084 1082 0:69 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
1090 1084 0:71 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
1091 1082 254:0 /var/lib/docker/containers/x/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw
1092 1082 254:0 /home/a /with\040space/of\134 rw,relatime - ext4 /dev/vda rw
`

func TestMountPointsAreRead(t *testing.T) {
	for root, want := range map[string][]string{
		"/":          {"/proc", "/dev", "/dev/shm", "/etc/resolv.conf", `/with space/of\`},
		"/dev":       {"/shm"},
		"/elsewhere": nil,
	} {
		if got := MountPoints(docker, root); !slices.Equal(got, want) {
			t.Errorf("in %s: %q", root, got)
		}
	}
}
