package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/pkg/build"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// runOptions are the flags of gbuild run.
type runOptions struct {
	env, volumes                       []string
	user, workdir, entrypoint, network string
	interactive, insecure, pull, rm    bool
}

func newRunCommand(a *app) *cobra.Command {
	o := &runOptions{}
	c := &cobra.Command{
		Use: "run [flags] IMAGE [COMMAND [ARG...]]", Short: "Run a command in an image", Args: cobra.MinimumNArgs(1),
		Long: `Run a command in an image: a local name, a registry reference (pulled where it is not here), oci:DIR or an archive.
What the command writes outside of volumes is discarded when it ends.

EXIT STATUS: that of the command; 125 the container could not be started.`,
		Example: "  gbuild run my-agent python3 train.py\n  gbuild run -v $(pwd)/outputs:/workspace/outputs -e LR=1e-5 my-agent",
		RunE: func(c *cobra.Command, args []string) error {
			return a.mustEnter(c.Context(), func(ctx context.Context) error { return runExit(a.run(ctx, o, args[0], args[1:])) })
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringArrayVarP(&o.env, "env", "e", nil, "NAME=VALUE, or NAME to pass the caller's (repeatable)")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "SOURCE:TARGET[:ro] (repeatable)")
	f.StringVarP(&o.user, "user", "u", "", "user (name or uid[:gid])")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	f.StringVar(&o.entrypoint, "entrypoint", "", "command instead of the image's ENTRYPOINT")
	f.StringVar(&o.network, "network", "private", "private, host or none")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "pass standard input on")
	f.BoolVar(&o.rm, "rm", true, "discard what the command wrote (always so)")
	f.BoolVar(&o.insecure, "insecure", false, "speak plain http to the registry")
	f.BoolVar(&o.pull, "pull", false, "ask the registry even where a local image has the name")
	return c
}

// exitContainer is docker's code for a container that could not be started.
const exitContainer = 125

func runExit(err error) error {
	var exit *runtime.ExitError
	if errors.As(err, &exit) {
		return exitStatus(exit.Code)
	}
	return err
}

func (a *app) run(ctx context.Context, o *runOptions, name string, command []string) (err error) {
	store, err := a.openStore()
	if err != nil {
		return err
	}
	defer store.Close()
	img, err := a.findImage(ctx, store, o, name)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	d, err := openDraft(ctx, store, img)
	if err != nil {
		return err
	}
	defer d.Discard()
	box, err := a.sandbox(o, &config.Config, command, d.Lower())
	if err != nil {
		return err
	}
	if box.Root, err = d.Mount(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	var remove func() error
	if box.StateDir, remove, err = store.TempDir(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return box.Run(ctx)
}

func (a *app) findImage(ctx context.Context, store *layers.Store, o *runOptions, name string) (v1.Image, error) {
	if img, err := localImage(store, name); err == nil && !o.pull {
		return img, nil
	}
	show := a.plainDisplay(true)
	f := &fetcher{app: a, store: store, options: a.imageOptions(o.insecure), pull: o.pull, notice: show.notice}
	return f.fetch(ctx, name, v1.Platform{})
}

// openDraft makes a writable state over the image; an image that was built here is already unpacked.
func openDraft(ctx context.Context, store *layers.Store, img v1.Image) (*layers.Draft, error) {
	key, err := build.StateOf(store, img)
	if err != nil || !store.Has(key) {
		list, err := img.Layers()
		if err != nil {
			return nil, err
		}
		if key, err = store.Unpack(ctx, list, func(int64, int64) {}); err != nil {
			return nil, fmt.Errorf("unpacking the image: %w", err)
		}
	}
	return store.Draft(ctx, key)
}

func (a *app) sandbox(o *runOptions, c *v1.Config, command []string, view *layers.View) (*runtime.Sandbox, error) {
	id, err := runtime.LookupUser(func(p string) (io.ReadCloser, error) { return view.Open(p) }, first(o.user, c.User))
	if err != nil {
		return nil, err
	}
	args := containerArgs(o, c, command)
	if len(args) == 0 {
		return nil, hinted{errors.New("the image has no command"), "give one after the image's name"}
	}
	mounts, err := volumes(o.volumes)
	if err != nil {
		return nil, err
	}
	box := &runtime.Sandbox{Args: args, Env: a.containerEnv(o, c), Dir: first(o.workdir, c.WorkingDir, "/"), UID: id.UID, GID: id.GID,
		Groups: id.Groups, Mounts: mounts, Network: o.network, Stdout: a.stdout, Stderr: a.stderr,
		Notice: func(text string) { fmt.Fprintln(a.stderr, "gbuild:", text) }}
	if o.interactive {
		box.Stdin = a.stdin
	}
	return box, nil
}

func containerArgs(o *runOptions, c *v1.Config, command []string) []string {
	if o.entrypoint != "" {
		return append([]string{o.entrypoint}, command...)
	}
	if len(command) == 0 {
		command = c.Cmd
	}
	return append(append([]string{}, c.Entrypoint...), command...)
}

func (a *app) containerEnv(o *runOptions, c *v1.Config) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	env = append(env, c.Env...)
	for _, e := range o.env {
		if !strings.Contains(e, "=") {
			value, ok := a.lookup(e)
			if !ok {
				continue
			}
			e += "=" + value
		}
		env = append(env, e)
	}
	return env
}

// volumes reads SOURCE:TARGET[:OPTIONS]; a source that is missing is made as a directory, as docker does.
func volumes(list []string) ([]runtime.Mount, error) {
	var mounts []runtime.Mount
	for _, v := range list {
		parts := strings.Split(v, ":")
		if len(parts) < 2 || len(parts) > 3 || !filepath.IsAbs(parts[1]) {
			return nil, usagef("-v %s: it is SOURCE:TARGET[:ro], TARGET absolute", v)
		}
		source, err := filepath.Abs(parts[0])
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(source, 0o755); err != nil && !isFile(source) {
			return nil, fmt.Errorf("making the source of -v %s: %w", v, err)
		}
		mounts = append(mounts, runtime.Mount{Type: "bind", Source: source, Target: parts[1], ReadOnly: len(parts) == 3 && hasWord(parts[2], "ro")})
	}
	return mounts, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

func hasWord(list, word string) bool {
	for _, w := range strings.Split(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
