package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/gbuild/gbuild/pkg/runtime"
)

// A sandbox is filled in like an exec.Cmd. What would weaken it is refused before anything is done.
func ExampleSandbox() {
	box := runtime.Sandbox{
		Root: "/srv/root", StateDir: "/tmp", Args: []string{"make", "install"}, Env: []string{"PATH=" + runtime.DefaultPath},
		Dir: "/src", UID: 1000, GID: 1000, Network: "none",
		Mounts: []runtime.Mount{
			{Type: "bind", Source: "/home/ann/src", Target: "/src", ReadOnly: true},
			{Type: "tmpfs", Target: "/proc/sys"},
		},
	}
	fmt.Println(box.Run(context.Background()))
	// Output: mounting on "/proc/sys": this path belongs to the sandbox
}

// What a host can do follows from what it lacks.
func ExampleSupport_Isolation() {
	host := runtime.Support{Subordinate: &runtime.Missing{
		What: "ann has no subordinate ids in /etc/subuid", Remedy: "run: sudo usermod --add-subuids 100000-165535 ann",
	}}
	fmt.Println(host.Isolation(), host.Isolation().CanRun())
	host.Subordinate = nil
	fmt.Println(host.Isolation(), host.Isolation().CanRun())
	// Output:
	// rootless-single true
	// rootless true
}

// What a host lacks is an error with a remedy, however far it has been wrapped.
func ExampleMissing() {
	err := fmt.Errorf("step 3: %w", &runtime.Missing{What: "/dev/net/tun cannot be used", Remedy: "modprobe tun", Cause: fs.ErrPermission})
	var missing *runtime.Missing
	if errors.As(err, &missing) {
		fmt.Println(err)
		fmt.Println(missing.Hint())
	}
	// Output:
	// step 3: /dev/net/tun cannot be used: permission denied
	// modprobe tun
}

// The accounts are those of the image, whatever this host calls its users.
func ExampleLookupUser() {
	files := map[string]string{
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n",
		"/etc/group":  "ann:x:1001:\nvideo:x:44:ann\n",
	}
	open := func(path string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(files[path])), nil }
	id, err := runtime.LookupUser(open, "ann")
	fmt.Println(id.UID, id.GID, id.Groups, id.Home, err)
	_, err = runtime.LookupUser(open, "bob")
	fmt.Println(err)
	// Output:
	// 1000 1001 [1001 44] /home/ann <nil>
	// the image has no user "bob" in /etc/passwd
}
