package host_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// What a host can do follows from what it lacks.
func ExampleSupport_Isolation() {
	here := host.Support{Subordinate: &host.Missing{
		What: "ann has no subordinate ids in /etc/subuid", Remedy: "run: sudo usermod --add-subuids 100000-165535 ann",
	}}
	fmt.Println(here.Isolation(), here.Isolation().CanRun())
	here.Subordinate = nil
	fmt.Println(here.Isolation(), here.Isolation().CanRun())
	// Output:
	// rootless-single true
	// rootless true
}

// What a host lacks is an error with a remedy, however far it has been wrapped.
func ExampleMissing() {
	err := fmt.Errorf("step 3: %w", &host.Missing{What: "/dev/net/tun cannot be used", Remedy: "modprobe tun", Cause: fs.ErrPermission})
	var missing *host.Missing
	if errors.As(err, &missing) {
		fmt.Println(err)
		fmt.Println(missing.Hint())
	}
	// Output:
	// step 3: /dev/net/tun cannot be used: permission denied
	// modprobe tun
}
