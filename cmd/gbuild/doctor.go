// This file owns gbuild doctor, which says what this host offers and lacks.

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// newDoctorCommand ends with the exit code that gbuild build would end with here.
func newDoctorCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Say what this host offers gbuild, what it lacks, and how to mend that", Args: cobra.NoArgs,
		Example: "  gbuild doctor",
		RunE: func(*cobra.Command, []string) error {
			s := runtime.Probe()
			fmt.Fprintln(a.Stdout, "isolation:", s.Isolation())
			for _, c := range []struct {
				name    string
				missing *runtime.Missing
			}{
				{"user namespaces", s.UserNamespaces}, {"newuidmap, newgidmap", s.Mapping}, {"subordinate ids", s.Subordinate},
				{"overlay", s.Overlay}, {"fresh /proc", s.Proc}, {"private network", s.PrivateNetwork()}, {"seccomp", s.Seccomp}, {"limits (cgroups)", s.Cgroups},
			} {
				if c.missing == nil {
					fmt.Fprintf(a.Stdout, "%-22s ok\n", c.name)
					continue
				}
				fmt.Fprintf(a.Stdout, "%-22s MISSING: %s\n%22s   %s\n", c.name, c.missing.What, "", c.missing.Remedy)
			}
			// The exit code is what scripts look at: it must not be 0 where a build with a RUN would fail.
			if !s.Isolation().CanRun() {
				fmt.Fprintln(a.Stdout, "RUN: it cannot be executed here; what is MISSING above says why")
				return cli.ExitStatus(cli.ExitHost)
			}
			said, err := a.Environ.NetworkOfRun(s)
			if err == nil {
				fmt.Fprintln(a.Stdout, "network of RUN:", said)
			}
			return err
		},
	}
}
