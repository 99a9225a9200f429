package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/container"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runOptions are the flags of gbuild run.
type runOptions struct {
	env, envFiles, dotenv, volumes, mounts, tmpfs, gpus, devices, cdiDirs, ports, hosts, ulimits, capAdd, capDrop, security []string
	name, user, workdir, entrypoint, network, hostname, shmSize, ipc, userns, pull, platform, restart, caches               string
	memory, cpus, stopSignal                                                                                                string
	pids                                                                                                                    int64
	stopTimeout                                                                                                             int
	interactive, tty, detach, rm, rmGiven, entrypointGiven, readOnly, init, privileged                                      bool
	fileEnv                                                                                                                 *os.File // what the env files say; see keepEnvFiles
}

func newRunCommand(a *app) *cobra.Command {
	o := &runOptions{}
	c := &cobra.Command{
		Use: "run [flags] IMAGE [COMMAND [ARG...]]", Short: "Run a command in an image, with GPUs where asked for", Args: cobra.MinimumNArgs(1),
		Long: `Run a command in an image: a local name, a registry reference (pulled where it is not here), oci:DIR or an archive.
What the command writes outside of volumes is discarded when it ends.

EXIT STATUS: that of the command; 64 this host lacks something, 125 the container could not be started, 126 the command cannot be run, 127 it was not found.`,
		Example: `  gbuild run my-agent python3 train.py
  gbuild run --gpus all -it -v $(pwd)/outputs:/workspace/outputs --caches --env-file .env my-agent bash
  gbuild run -d --name api -p 8000:8000 my-agent && gbuild logs -f api`,
		RunE: func(c *cobra.Command, args []string) error {
			o.rmGiven, o.entrypointGiven = c.Flags().Changed("rm"), c.Flags().Changed("entrypoint")
			if !c.Flags().Changed("caches") {
				o.caches = a.env("GBUILD_RUN_CACHES")
			}
			return containerExit(a, a.runCommand(c.Context(), o, args[0], args[1:]))
		},
	}
	o.processFlags(c)
	o.sandboxFlags(c)
	a.registries.addInsecure(c.Flags())
	return c
}

func (o *runOptions) processFlags(c *cobra.Command) {
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal")
	f.BoolVarP(&o.detach, "detach", "d", false, "run in the background and print the container's id")
	f.BoolVar(&o.rm, "rm", true, "forget the container when it ends (with -d: only when given)")
	f.StringVar(&o.name, "name", "", "name of the container")
	f.VarP((*list)(&o.env), "env", "e", "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.Var((*list)(&o.envFiles), "env-file", "file of NAME=VALUE lines, read as docker does (repeatable)")
	f.Var((*list)(&o.dotenv), "dotenv", "file of NAME=VALUE lines with quotes and comments, read as compose does (repeatable)")
	f.StringVarP(&o.user, "user", "u", "", "user (name or uid[:gid])")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	f.StringVar(&o.entrypoint, "entrypoint", "", "command instead of the image's ENTRYPOINT")
	f.BoolVar(&o.init, "init", false, "run the command under a first process that passes signals on and waits for orphans")
	f.StringVar(&o.restart, "restart", "no", "no, on-failure[:TIMES], always or unless-stopped")
	f.StringVar(&o.stopSignal, "stop-signal", "", "signal by which gbuild stop asks it to end (default: the image's, or SIGTERM)")
	f.IntVar(&o.stopTimeout, "stop-timeout", 10, "seconds after which gbuild stop kills it")
	f.StringVar(&o.pull, "pull", "missing", "always, missing or never")
	f.StringVar(&o.platform, "platform", "", "platform of the image, such as linux/arm64")
}

func (o *runOptions) sandboxFlags(c *cobra.Command) {
	f := c.Flags()
	f.VarP((*list)(&o.volumes), "volume", "v", "SOURCE:TARGET[:ro]; a SOURCE without a slash is a volume (repeatable)")
	f.Var((*list)(&o.mounts), "mount", "type=bind|volume,source=…,target=…[,readonly] or type=tmpfs,target=… (repeatable)")
	f.Var((*list)(&o.tmpfs), "tmpfs", "DIRECTORY[:size=…,mode=…] (repeatable)")
	f.StringVar(&o.caches, "caches", "", "share the host's caches: "+cacheNames()+" (default without a value: all; GBUILD_RUN_CACHES)")
	f.Lookup("caches").NoOptDefVal = "all"
	f.Var((*list)(&o.gpus), "gpus", "GPUs as docker takes them: all, 2, device=0,1, \"device=GPU-…\",… (repeatable)")
	f.Var((*list)(&o.devices), "device", "CDI name (vendor/class=name) or /dev/NAME[:/dev/NAME][:rwm] (repeatable)")
	f.Var((*list)(&o.cdiDirs), "cdi-spec-dir", "further directory of CDI specs (repeatable)")
	f.StringVar(&o.network, "network", "default", "default (private, where that can be had), private, host or none")
	f.StringVar(&o.network, "net", "default", "the same as --network")
	_ = f.MarkHidden("net")
	f.VarP((*list)(&o.ports), "publish", "p", "[[ADDRESS:]HOSTPORT:]PORT[/udp] (repeatable)")
	f.Var((*list)(&o.hosts), "add-host", "NAME:ADDRESS for /etc/hosts (repeatable)")
	f.StringVarP(&o.hostname, "hostname", "h", "", "host name of the container")
	f.Bool("help", false, "help for run")
	f.StringVar(&o.shmSize, "shm-size", "", "size of /dev/shm (default: 64m, with GPUs half of the memory)")
	f.StringVar(&o.ipc, "ipc", "private", "private or host")
	f.Var((*list)(&o.ulimits), "ulimit", "NAME=SOFT[:HARD] (repeatable)")
	f.BoolVar(&o.readOnly, "read-only", false, "make the root file system read-only")
	f.Var((*list)(&o.capAdd), "cap-add", "capability to add (repeatable)")
	f.Var((*list)(&o.capDrop), "cap-drop", "capability to drop (repeatable)")
	f.Var((*list)(&o.security), "security-opt", "no-new-privileges, seccomp=unconfined|FILE, systempaths=unconfined (repeatable)")
	f.BoolVar(&o.privileged, "privileged", false, "every capability and no filter, inside the user namespace")
	f.StringVar(&o.userns, "userns", "", "keep-id[:uid=UID,gid=GID]: the image's user is you, so that it can write your files")
	f.StringVarP(&o.memory, "memory", "m", "", "limit of memory, such as 8g")
	f.StringVar(&o.cpus, "cpus", "", "limit of processors' time, such as 1.5")
	f.Int64Var(&o.pids, "pids-limit", 0, "limit of processes and threads")
}

// containerExit turns the end of a container into docker's exit code: the command's own, or 125 where gbuild
// failed; what the host lacks is 64, as for a build.
func containerExit(a *app, err error) error {
	var exit *runtime.ExitError
	var status exitStatus
	var stopped interrupted
	var missing *runtime.Missing
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.As(err, &stopped):
		return exitStatus(exitSignals + int(stopped.sig))
	case errors.As(err, &exit):
		if exit.Err != nil {
			a.printError(exit.Err)
		}
		return exitStatus(exit.Code)
	}
	a.printError(err)
	if errors.As(err, &missing) {
		return exitStatus(exitHost)
	}
	return exitStatus(container.ExitNotStarted)
}

// check refuses command lines that make no sense before anything is made for them.
func (o *runOptions) check(a *app) error {
	if o.tty && o.interactive && !o.detach && !isTerminal(a.stdin) {
		return hint.Errorf("leave out -t, or run it in a terminal", "the input device is not a TTY")
	}
	restart, err := container.ParseRestart(o.restart)
	if err != nil {
		return usagef("--restart %s: %w", o.restart, err)
	}
	if !restart.Never() && o.rmGiven && o.rm {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	for _, check := range []func() error{o.checkWords, o.checkMounts, o.checkDevices, o.checkPorts, o.checkLimits} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o *runOptions) checkWords() error {
	for _, f := range []struct {
		flag, value string
		words       []string
	}{
		{"--pull", o.pull, []string{"always", "missing", "never"}},
		{"--network", o.network, []string{"default", "private", "bridge", "host", "none"}},
		{"--ipc", o.ipc, []string{"private", "host"}},
	} {
		if !slices.Contains(f.words, f.value) {
			return usagef("%s %s: it is one of %s", f.flag, f.value, strings.Join(f.words, ", "))
		}
	}
	if o.network == "bridge" {
		o.network = "private"
	}
	_, err := parseSignal(cmp.Or(o.stopSignal, "SIGTERM"))
	return err
}

func (a *app) runCommand(ctx context.Context, o *runOptions, image string, command []string) error {
	if err := o.check(a); err != nil {
		return err
	}
	var err error
	if o.network, err = a.acceptedNetwork(o.network, false); err != nil {
		return err
	}
	switch id := a.env(containerVar); {
	case id != "" && runtime.Entered():
		c, err := takeOverContainer(a, id)
		if err != nil {
			return err
		}
		return a.runEntered(ctx, o, c, image, command)
	case id != "":
		o.takeEnvFiles()
		return a.supervise(ctx, o, id)
	}
	if err := a.keepEnvFiles(o, a.streams.reader(ctx)); err != nil {
		return err
	}
	if err := a.keepProfiles(ctx, o); err != nil {
		return err
	}
	c, err := register(a, o, image, command)
	if err != nil {
		return err
	}
	if o.detach {
		return a.detach(ctx, o, c)
	}
	defer func() { _ = c.Remove() }()
	if runtime.Entered() { // before main
		return a.runEntered(ctx, o, c, image, command)
	}
	return a.enterContainer(ctx, o, c)
}

// register makes the entry of a new container.
func register(a *app, o *runOptions, image string, command []string) (*container.Container, error) {
	all, err := openContainers(a)
	if err != nil {
		return nil, err
	}
	return all.Create(container.Record{Name: o.name, Image: image, Command: command, Detached: o.detach,
		Forget: !o.detach || o.rmGiven && o.rm, StopSignal: o.stopSignal, StopTimeout: o.stopTimeout})
}
