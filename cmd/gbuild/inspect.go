// This file owns the commands that say what is known of a container or an image, and of the ports and processes of one that runs.

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/bases"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/inspect"
	"github.com/gbuild/gbuild/internal/procfs"
	"github.com/gbuild/gbuild/internal/running"
	"github.com/gbuild/gbuild/pkg/image"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

// newInspectCommand looks for containers first, as docker does.
func newInspectCommand(a *cli.App, kind string) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "inspect NAME [NAME...]", Short: "Print what is known of containers and images, as JSON or by a template", Args: cobra.MinimumNArgs(1),
		Long:    "Print what is known of containers and images, as JSON or by a template, in docker's words. Of a container's environment only the image's part is shown.",
		Example: "  gbuild inspect api\n  gbuild inspect -f '{{.State.Status}} {{json .NetworkSettings.Ports}}' api\n  gbuild inspect --type image my-agent",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cli.OneOf("--type", kind, "", "container", "image"); err != nil {
				return err
			}
			return inspectAll(a, kind, format, args)
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "", "json, or a Go template with docker's functions")
	c.Flags().StringVar(&kind, "type", kind, "container or image; without it, whichever has the name")
	c.Flags().BoolP("size", "s", false, "taken for docker's sake")
	return c
}

// inspectAll prints what it finds, also where a name is missing.
func inspectAll(a *cli.App, kind, format string, names []string) error {
	found, errs := []any{}, []error(nil)
	for _, name := range names {
		d, err := inspectOne(a, kind, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, d)
	}
	if format == "" || format == "json" {
		errs = append(errs, a.PrintJSON(found, "    "))
		return errors.Join(errs...)
	}
	for _, d := range found {
		errs = append(errs, cli.Format(a.Stdout, format, d))
	}
	return errors.Join(errs...)
}

// inspectOne finds a container or an image.
func inspectOne(a *cli.App, kind, name string) (any, error) {
	if kind != "image" {
		c, err := findContainer(a, name)
		if err == nil {
			config, _ := running.ImageOf(c) // it is there for those that stay
			return inspect.OfContainer(c, config), nil
		}
		if kind == "container" {
			return nil, err
		}
	}
	store, err := a.OpenStore(a.Notice)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	img, err := bases.Local(store, name)
	if err != nil {
		return nil, hint.Errorf("gbuild ps -a and gbuild images list those that there are", "no such object: %s", name)
	}
	id, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	list, err := store.Images()
	if err != nil {
		return nil, err
	}
	tags, digests := []string{}, []string{}
	for _, i := range list {
		ref, err := image.ParseRef(i.Name)
		if err != nil || i.ID != id {
			continue
		}
		tags = append(tags, ref.Familiar())
		ref.Tag, ref.Digest = "", i.Digest.String()
		digests = append(digests, ref.Familiar())
	}
	return inspect.OfImage(img, tags, digests)
}

// newPortCommand prints published ports as docker does.
func newPortCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "port CONTAINER [PORT[/PROTOCOL]]", Short: "Print the published ports of a container", Args: cobra.RangeArgs(1, 2),
		Example: "  gbuild port api\n  gbuild port api 8000",
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := findContainer(a, args[0])
			if err != nil {
				return err
			}
			ports := inspect.PortsOf(c.Ports)
			if len(args) == 2 {
				target := args[1]
				if !strings.Contains(target, "/") {
					target += "/tcp"
				}
				for _, b := range ports[target] {
					fmt.Fprintln(a.Stdout, joinAddress(b))
				}
				if len(ports[target]) == 0 {
					return hint.Errorf("gbuild port "+args[0]+" lists those that are", "no public port '%s' published for %s", args[1], args[0])
				}
				return nil
			}
			var lines []string
			for target, all := range ports {
				for _, b := range all {
					lines = append(lines, target+" -> "+joinAddress(b))
				}
			}
			sort.Strings(lines)
			for _, l := range lines {
				fmt.Fprintln(a.Stdout, l)
			}
			return nil
		},
	}
}

func joinAddress(b inspect.Binding) string {
	if strings.Contains(b.HostIp, ":") {
		return "[" + b.HostIp + "]:" + b.HostPort
	}
	return b.HostIp + ":" + b.HostPort
}

// newTopCommand asks ps of this host, as docker does, and shows the lines of the container's processes.
func newTopCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "top CONTAINER [PS OPTIONS]", Short: "Print the processes of a container", Args: cobra.MinimumNArgs(1),
		Example: "  gbuild top api\n  gbuild top api -o pid,rss,args",
		RunE:    func(c *cobra.Command, args []string) error { return printProcesses(c.Context(), a, args[0], args[1:]) },
	}
	c.Flags().SetInterspersed(false) // what follows the name is for ps
	return c
}

func printProcesses(ctx context.Context, a *cli.App, name string, options []string) error {
	c, err := findContainer(a, name)
	if err != nil {
		return err
	}
	if c.Pid == 0 {
		return hint.Errorf("gbuild ps lists those that run", "container %s is not running", c.Name)
	}
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	ps, err := exec.LookPath("ps")
	if err != nil {
		return &host.Missing{What: "the program ps is not installed here", Remedy: "install procps, or: gbuild exec " + c.Name + " ps"}
	}
	out, err := exec.CommandContext(ctx, ps, options...).Output()
	if err != nil {
		return hint.Errorf("see man ps", "ps %s: %w", strings.Join(options, " "), err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return cli.Usagef("couldn't find PID field in ps output: add pid to -o")
	}
	fmt.Fprintln(a.Stdout, lines[0])
	for _, l := range lines[1:] {
		fields := strings.Fields(l)
		if len(fields) <= column {
			continue
		}
		if pid, err := strconv.Atoi(fields[column]); err == nil && descends(pid, c.Pid) {
			fmt.Fprintln(a.Stdout, l)
		}
	}
	return nil
}

// descends says whether a process is another one, or was started by it in the end.
func descends(pid, from int) bool {
	for ; pid > 1; pid = procfs.Parent(pid) {
		if pid == from {
			return true
		}
	}
	return false
}

// newContainerCommand has docker's other names of the commands about containers.
func newContainerCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "container", Short: "The commands about containers, as docker groups them"}
	ls := newPsCommand(a)
	ls.Use, ls.Aliases, ls.Example = "ls", []string{"list", "ps"}, "  gbuild container ls -a"
	rm := newRmCommand(a)
	rm.Aliases = []string{"remove"}
	c.AddCommand(ls, rm, newRunCommand(a), newExecCommand(a), newLogsCommand(a), newStopCommand(a), newKillCommand(a), newStartCommand(a), newRestartCommand(a), newWaitCommand(a),
		newAttachCommand(a), newRenameCommand(a), newPortCommand(a), newTopCommand(a), newCpCommand(a), newInspectCommand(a, "container"), newContainerPruneCommand(a))
	return c
}

// newContainerPruneCommand forgets all containers that have ended.
func newContainerPruneCommand(a *cli.App) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "prune", Short: "Forget all containers that have ended, with their logs and files", Args: cobra.NoArgs,
		Example: "  gbuild container prune -f",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.MustEnter(c.Context(), func(context.Context) error { return pruneContainers(a, force) })
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return c
}

func pruneContainers(a *cli.App, force bool) error {
	if !force {
		fmt.Fprint(a.Stderr, "This will remove all stopped containers. Are you sure you want to continue? [y/N] ")
		var answer string
		if _, err := fmt.Fscan(a.Stdin, &answer); err != nil || !strings.EqualFold(answer, "y") {
			return nil
		}
	}
	all, err := a.Containers()
	if err != nil {
		return err
	}
	list, err := all.List()
	for _, one := range list {
		if one.Alive() || err != nil {
			continue
		}
		if err = one.Remove(); err == nil {
			fmt.Fprintln(a.Stdout, one.ID)
		}
	}
	return err
}
