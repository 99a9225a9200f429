package runtime_test

import (
	"context"
	"fmt"
	"io"
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
