// This file owns gbuild generate: files for other programs, made of what is known of a container.

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/durable"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/internal/running"
)

// newGenerateCommand is podman's word.
func newGenerateCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "generate", Short: "Make files for other programs: units of systemd"}
	c.AddCommand(newGenerateSystemdCommand(a))
	return c
}

// newGenerateSystemdCommand makes the unit of one container.
func newGenerateSystemdCommand(a *cli.App) *cobra.Command {
	var files, anew bool
	c := &cobra.Command{
		Use: "systemd CONTAINER", Short: "Make a unit of systemd that starts a container, also after a reboot", Args: cobra.ExactArgs(1),
		Long: `Print a unit of systemd that starts a container, also after a reboot: of the user, or for root of the system. The container is one of gbuild run -d, without --rm.
Its --restart and --stop-timeout become the unit's: systemd starts it again, and gbuild does not. With --new the container is made anew at each start, by the words of its gbuild run.`,
		Example: `  gbuild run -d --name api --restart always -p 8000:8000 my-agent
  gbuild generate systemd api > ~/.config/systemd/user/container-api.service
  gbuild generate systemd --new --files api && systemctl --user enable --now $PWD/container-api.service`,
		RunE: func(c *cobra.Command, args []string) error {
			u, err := unitOf(a, c.Root(), args[0])
			if err != nil {
				return err
			}
			u.New = anew
			if files {
				return writeUnit(c.Context(), a, u)
			}
			return printUnit(a, u)
		},
	}
	c.Flags().BoolVarP(&files, "files", "f", false, "write container-NAME.service into this directory and print its path; values of -e go into a file that only you can read")
	c.Flags().BoolVar(&anew, "new", false, "make the container anew at each start, and forget it at its end")
	return c
}

// unitOf finds out what the unit of a container is made of.
func unitOf(a *cli.App, root *cobra.Command, name string) (*running.Unit, error) {
	one, err := findContainer(a, name)
	if err != nil {
		return nil, err
	}
	u, err := running.UnitOf(one, func(args []string) (*pflag.FlagSet, []string, error) {
		run, line, err := root.Find(args)
		if err == nil {
			run.InheritedFlags() // from here on the flags are those of all commands, too
			return run.Flags(), line, nil
		}
		return nil, nil, err
	})
	if err != nil {
		return nil, err
	}
	u.System = os.Geteuid() == 0
	if u.Program, err = os.Executable(); err != nil {
		return nil, err
	}
	if a.Flags.Root != "" || a.Env("XDG_DATA_HOME") != "" {
		u.Root, err = a.StateDir()
	}
	return u, err
}

// printUnit prints it, but no value of a variable: who knows what the output becomes.
func printUnit(a *cli.App, u *running.Unit) error {
	if u.New && len(u.Env) > 0 {
		return hint.Errorf("--files writes them into a file that only you can read", "the command line of container %s has values of -e, which a unit would show to everybody", u.Record.Name)
	}
	text, err := u.Text()
	if err != nil {
		return err
	}
	fmt.Fprint(a.Stdout, text)
	dir := "~/.config/systemd/user"
	if u.System {
		dir = "/etc/systemd/system"
	}
	note(a, u, dir+"/"+u.Name()+" (write it there)")
	return nil
}

// writeUnit writes the unit, and beside it the variables.
func writeUnit(ctx context.Context, a *cli.App, u *running.Unit) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	u.EnvFile = u.EnvFileIn(dir)
	text, err := u.Text()
	if err != nil {
		return err
	}
	if u.New && len(u.Env) > 0 {
		if err := durable.Replace(u.EnvFile, []byte(u.EnvText())); err != nil {
			return err
		}
		a.Notice("the values of -e are in " + u.EnvFile + ", which only you can read")
	}
	path := filepath.Join(dir, u.Name())
	if err := outfile.WriteText(ctx, path, text); err != nil {
		return err
	}
	fmt.Fprintln(a.Stdout, path)
	note(a, u, path)
	return nil
}

// note says how the unit comes to life.
func note(a *cli.App, u *running.Unit, path string) {
	if u.New && len(u.Left) > 0 {
		a.Notice("left out, as they mean nothing in a unit: " + strings.Join(u.Left, ", "))
	}
	if u.System {
		a.Notice("to enable it: systemctl enable --now " + path)
		return
	}
	a.Notice("to enable it: systemctl --user enable --now " + path + "; and loginctl enable-linger, so that it runs while you are not logged in")
}
