// This file owns gbuild doctor, which says what this host offers and lacks. It goes the way of a build into the namespaces, and asks
// there what a build asks, so that the two cannot disagree.

package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/snapshotter"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// newDoctorCommand ends with the exit code that gbuild build would end with here.
func newDoctorCommand(a *cli.App) *cobra.Command {
	var flag cli.IsolationFlag
	var sources cli.DeviceSources
	c := &cobra.Command{
		Use: "doctor", Short: "Say what this host offers gbuild, what it lacks, and how to mend that", Args: cobra.NoArgs,
		Example: "  gbuild doctor",
		RunE: func(c *cobra.Command, _ []string) error {
			want, err := flag.Parse(a.Environ)
			if err != nil {
				return err
			}
			return a.InNamespace(c.Context(), want, func(ctx context.Context, _ error) error {
				return examine(ctx, a, want, &sources)
			})
		},
	}
	flag.Add(c.Flags())
	sources.Flags(c.Flags())
	return c
}

// examine prints what a build finds here.
func examine(ctx context.Context, a *cli.App, want host.Isolation, sources *cli.DeviceSources) error {
	s := host.Probe()
	mode, refused := a.Mode(want)
	fmt.Fprintln(a.Stdout, "isolation:", mode.Isolation)
	for _, i := range []host.Isolation{host.Root, host.Rootless, host.RootlessSingle, host.Fake, host.Inplace, host.Chroot, host.Ptrace, host.NoRun} {
		if lacks := s.Lacks(i); lacks == nil {
			fmt.Fprintf(a.Stdout, "  %-20s ok\n", i)
		} else {
			fmt.Fprintf(a.Stdout, "  %-20s no: %s\n", i, lacks.Error())
		}
	}
	printAbility(a, "namespaces", s.UserNamespaces)
	if s.UserNamespaces == nil { // else the others could not be tried
		printAbilities(a, s)
	}
	if err := printGPUs(ctx, a, sources); err != nil {
		return err
	}
	state := printState(a, s.UserNamespaces == nil)
	if said := mode.String(); refused == nil && said != "" {
		fmt.Fprintln(a.Stdout, "RUN:", said)
	}
	// The exit code is what scripts look at: it must not be 0 where a build with a RUN would fail.
	if err := cmp.Or(refused, state); err != nil {
		fmt.Fprintf(a.Stdout, "RUN: it cannot be executed here: %v\n%22s   %s\n", err, "", hint.Of(err))
		return cli.ExitStatus(cli.ExitHost)
	}
	said, err := a.Environ.NetworkOfRun(s)
	if err == nil {
		fmt.Fprintln(a.Stdout, "network of RUN:", said)
	}
	return err
}

// printGPUs says what --gpus and --device find here. Most hosts have nothing, and lack nothing.
func printGPUs(ctx context.Context, a *cli.App, sources *cli.DeviceSources) error {
	driver, err := sources.Driver(ctx)
	if err == nil {
		_, err = driver.Spec()
	}
	switch {
	case driver == nil:
		fmt.Fprintf(a.Stdout, "%-22s none: %v\n", "GPUs", err)
	case err != nil:
		fmt.Fprintf(a.Stdout, "%-22s MISSING: %v\n%22s   %s\n", "GPUs", err, "", hint.Of(err))
	default:
		fmt.Fprintf(a.Stdout, "%-22s ok: %d by NVIDIA driver %s\n", "GPUs", len(driver.GPUs), driver.Version)
	}
	catalog, err := sources.Catalog(ctx, a.Environ)
	if err != nil {
		return err
	}
	if names := catalog.Names(); len(names) > 0 {
		fmt.Fprintf(a.Stdout, "%-22s ok: %s\n", "CDI devices", strings.Join(names, ", "))
	}
	return nil
}

// printAbilities prints what was tried in the namespaces.
func printAbilities(a *cli.App, s host.Support) {
	for _, c := range []struct {
		name    string
		missing *host.Missing
	}{
		{"own user namespace", s.OwnUsers}, {"more than one id", s.Mapping}, {"answered calls", s.Notify},
		{"fresh /proc", s.Proc}, {"private network", s.PrivateNetwork()}, {"seccomp", s.Seccomp}, {"limits (cgroups)", s.Cgroups},
	} {
		printAbility(a, c.name, c.missing)
	}
}

func printAbility(a *cli.App, name string, missing *host.Missing) {
	if missing == nil {
		fmt.Fprintf(a.Stdout, "%-22s ok\n", name)
		return
	}
	fmt.Fprintf(a.Stdout, "%-22s MISSING: %s\n%22s   %s\n", name, missing.Error(), "", missing.Remedy)
}

// printState says what the state directory is fit for, and returns why the files of an image cannot lie there. How they are shown
// to a command is known where one can be run.
func printState(a *cli.App, runs bool) error {
	refused := func(err error) error {
		missing := &host.Missing{What: err.Error(), Remedy: cmp.Or(hint.Of(err), "choose another one with --root or GBUILD_ROOT, on a local disk (ext4, xfs, btrfs)")}
		printAbility(a, "state directory", missing)
		return missing
	}
	dir, err := a.StateDir()
	if err != nil {
		return refused(err)
	}
	judged, err := snapshotter.JudgeDir(dir)
	switch {
	case err != nil:
		return refused(err)
	case judged.Way == snapshotter.None:
		return refused(fmt.Errorf("%s cannot hold the files of images: %w", dir, judged.Why))
	case !runs:
		fmt.Fprintf(a.Stdout, "%-22s ok: %s\n", "state directory", dir)
	case judged.Why != nil:
		fmt.Fprintf(a.Stdout, "%-22s ok, by %s: %s: %v\n", "state directory", judged.Way, dir, judged.Why)
	default:
		fmt.Fprintf(a.Stdout, "%-22s ok, by %s: %s\n", "state directory", judged.Way, dir)
	}
	return nil
}
