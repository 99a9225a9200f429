// This file owns how the health of a container is looked at: what the flags say, before what the image's HEALTHCHECK says.

package running

import (
	"cmp"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/container"
)

// Health is the part about it.
type Health struct {
	Command                                       string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
	None                                          bool
}

// Flags registers the flags, which are docker's.
func (h *Health) Flags(f *pflag.FlagSet) {
	f.StringVar(&h.Command, "health-cmd", "", "shell command that checks whether the container is well")
	f.DurationVar(&h.Interval, "health-interval", 0, "time between two checks (default: the image's, or 30s)")
	f.DurationVar(&h.Timeout, "health-timeout", 0, "time that a check may take (default: the image's, or 30s)")
	f.DurationVar(&h.StartPeriod, "health-start-period", 0, "time in which failures do not count before the first success")
	f.DurationVar(&h.StartInterval, "health-start-interval", 0, "time between two checks in the start period (default: 5s)")
	f.IntVar(&h.Retries, "health-retries", 0, "failures in a row that make the container unhealthy (default: the image's, or 3)")
	f.BoolVar(&h.None, "no-healthcheck", false, "run no check, whatever the image says")
}

// parse refuses what makes no sense.
func (h *Health) parse() error {
	durations := []time.Duration{h.Interval, h.Timeout, h.StartPeriod, h.StartInterval}
	if h.None && (*h != Health{None: true}) {
		return cli.Usagef("--no-healthcheck conflicts with --health-* options")
	}
	if h.Retries < 0 || slices.ContainsFunc(durations, func(d time.Duration) bool { return d != 0 && d < time.Millisecond }) {
		return cli.Usagef("--health-*: times are at least 1ms, and --health-retries is not negative")
	}
	return nil
}

// check is what is to be run; nil where nothing is.
func (h *Health) check(config *v1.Config) *container.HealthCheck {
	image := cmp.Or(config.Healthcheck, &v1.HealthConfig{})
	args := image.Test
	if h.Command != "" {
		args = []string{"CMD-SHELL", h.Command}
	}
	if h.None || len(args) < 2 {
		return nil
	}
	kind := args[0]
	if args = args[1:]; kind == "CMD-SHELL" {
		shell := config.Shell
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		args = append(slices.Clone(shell), args[0])
	} else if kind != "CMD" { // NONE
		return nil
	}
	return &container.HealthCheck{Args: args, Interval: cmp.Or(h.Interval, image.Interval), Timeout: cmp.Or(h.Timeout, image.Timeout),
		StartPeriod: cmp.Or(h.StartPeriod, image.StartPeriod), StartInterval: h.StartInterval, Retries: cmp.Or(h.Retries, image.Retries)}
}
