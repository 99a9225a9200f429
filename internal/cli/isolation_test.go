package cli

import (
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime"
)

func TestDemands(t *testing.T) {
	why := &runtime.Missing{What: "why", Remedy: "remedy"}
	for _, c := range []struct {
		demanded string
		mode     runtime.Mode
		want     string
	}{
		{"", runtime.Mode{Isolation: runtime.Ptrace}, ""},
		{"any", runtime.Mode{Isolation: runtime.Fake, BoundProc: why, HostRoot: why}, ""},
		{"rootless-single", runtime.Mode{Isolation: runtime.Fake, Single: why}, "the isolation here is fake, and GBUILD_MIN_ISOLATION is rootless-single: why"},
		{"rootless-single", runtime.Mode{Isolation: runtime.Root}, ""},
		{"root", runtime.Mode{Isolation: runtime.Rootless}, "the isolation here is rootless"},
		{"rootless", runtime.Mode{Isolation: runtime.Rootless, BoundProc: why}, ""},
		{"rootless, own-proc", runtime.Mode{Isolation: runtime.Rootless, BoundProc: why}, "would share /proc"},
		{"own-proc", runtime.Mode{Isolation: runtime.Ptrace}, "would share /proc"},
		{"user-namespace", runtime.Mode{Isolation: runtime.Root, HostRoot: why}, "no user namespace of its own"},
		{"user-namespace,own-proc,private-network,root", runtime.Mode{Isolation: runtime.Root}, ""},
		{"own-proc,bound-proc", runtime.Mode{}, "it is any, private-network"},
		{"norun", runtime.Mode{}, "it is any, private-network"},
	} {
		environ := Environment(func(string) (string, bool) { return c.demanded, true })
		least, err := environ.minIsolation()
		if err == nil {
			err = least.check(c.mode)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v, want %q", c.demanded, c.mode.Isolation, err, c.want)
		}
	}
}
