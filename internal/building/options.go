// This file owns the options of a build as a whole: their parts, their defaults and their flags.

package building

import (
	"runtime"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
)

// Options are all that a command line can say of a build. What they say is checked when they are run.
type Options struct {
	Source  Source
	Caches  Caches
	Steps   Steps
	Outputs Outputs
	Call    Call
	Docker  Docker
	// These are no part's: they are about the build as a whole.
	Explain   bool
	Jobs      int
	Isolation cli.IsolationFlag
	// What is to be said before all else that is said of the build.
	Notices []string
}

// New returns the options of a command line without flags, but for the context, which has no default.
func New() *Options {
	return &Options{
		Caches:  Caches{Tools: Tools{PipCache: "auto", AutoCache: []string{"pip", "uv"}}},
		Steps:   Steps{Network: "default"},
		Outputs: Outputs{Layers: "auto", Progress: "auto"},
		Call:    Call{Call: "build"},
		Jobs:    runtime.NumCPU(),
	}
}

// Flags registers the flags of gbuild build, all parts' together: parsing them fills in the options. The help sorts them by
// name. The environment is asked for what pipelines set instead of flags.
func (o *Options) Flags(flags *pflag.FlagSet, a *cli.App) {
	o.Source.Flags(flags)
	o.Caches.Flags(flags, a.Environ)
	o.Steps.Flags(flags)
	o.Outputs.Flags(flags, a.Environ)
	o.Call.Flags(flags)
	o.Docker.Flags(flags)
	a.Registries.AddInsecure(flags)
	o.Isolation.Add(flags)
	flags.BoolVar(&o.Explain, "explain", false, "say for each step why it runs, or why it need not")
	flags.IntVar(&o.Jobs, "jobs", o.Jobs, "steps that run at once")
}
