// This file owns the beginning of each process of this program: what it was started for.

package runtime

import (
	"io"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/gbuild/gbuild/pkg/runtime/direct"
	"github.com/gbuild/gbuild/pkg/runtime/host"
	"github.com/gbuild/gbuild/pkg/runtime/keeper"
	"github.com/gbuild/gbuild/pkg/runtime/tracer"
)

// Init must be the first call of main (and of TestMain). In a process that was started as a container's init it
// does that work and does not return. In a process that host.Enter started it completes the namespaces and returns.
func Init() {
	// libcontainer logs through this global logger; what matters also comes back as an error.
	logrus.SetOutput(io.Discard)
	if isContainerInit() {
		initContainer()
	}
	keeper.Run()
	tracer.Start()
	direct.Start()
	if len(os.Args) > 1 && os.Args[0] == reaperPath {
		os.Exit(reap(os.Args[1:]))
	}
	host.Init()
}
