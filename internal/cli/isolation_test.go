package cli

import (
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

func TestDemands(t *testing.T) {
	why := &host.Missing{What: "why", Remedy: "remedy"}
	for _, c := range []struct {
		demanded string
		mode     host.Mode
		want     string
	}{
		{"", host.Mode{Isolation: host.Ptrace}, ""},
		{"any", host.Mode{Isolation: host.Fake, BoundProc: why, HostRoot: why}, ""},
		{"rootless-single", host.Mode{Isolation: host.Fake, Single: why}, "the isolation here is fake, and GBUILD_MIN_ISOLATION is rootless-single: why"},
		{"rootless-single", host.Mode{Isolation: host.Root}, ""},
		{"root", host.Mode{Isolation: host.Rootless}, "the isolation here is rootless"},
		{"rootless", host.Mode{Isolation: host.Rootless, BoundProc: why}, ""},
		{"rootless, own-proc", host.Mode{Isolation: host.Rootless, BoundProc: why}, "would share /proc"},
		{"own-proc", host.Mode{Isolation: host.Ptrace}, "would share /proc"},
		{"inplace", host.Mode{Isolation: host.Inplace, NoOwn: why}, ""},
		{"chroot", host.Mode{Isolation: host.Inplace, NoOwn: why}, ""},
		{"chroot,private-network", host.Mode{Isolation: host.Chroot, NoOwn: why}, ""}, // that is refused with the network: AcceptedNetwork
		{"inplace", host.Mode{Isolation: host.Chroot, NoOwn: why}, "the isolation here is chroot, and GBUILD_MIN_ISOLATION is inplace: why"},
		{"fake", host.Mode{Isolation: host.Inplace, NoOwn: why}, "the isolation here is inplace, and GBUILD_MIN_ISOLATION is fake: why"},
		{"rootless-single", host.Mode{Isolation: host.Inplace, Asked: true}, "the isolation here is inplace, and GBUILD_MIN_ISOLATION is rootless-single"},
		{"own-proc", host.Mode{Isolation: host.Inplace, NoOwn: why}, "with this place, and GBUILD_MIN_ISOLATION is own-proc: why"},
		{"own-proc", host.Mode{Isolation: host.Chroot}, "would share /proc"},
		{"user-namespace", host.Mode{Isolation: host.Inplace, NoOwn: why}, "of its own, and GBUILD_MIN_ISOLATION is user-namespace: why"},
		{"user-namespace", host.Mode{Isolation: host.Chroot}, "no user namespace of its own"},
		{"user-namespace", host.Mode{Isolation: host.Root, HostRoot: why}, "no user namespace of its own"},
		{"user-namespace,own-proc,private-network,root", host.Mode{Isolation: host.Root}, ""},
		{"own-proc,bound-proc", host.Mode{}, "it is any, private-network"},
		{"norun", host.Mode{}, "it is any, private-network"},
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
