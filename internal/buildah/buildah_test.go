package buildah

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
)

// parse reads a command line, up to where it would be carried out.
func parse(line string, environ map[string]string) (l *Line, a *cli.App, err error) {
	a = cli.New(func(name string) (string, bool) { v, ok := environ[name]; return v, ok }, nil, cli.Handed{})
	l = New()
	flags := pflag.NewFlagSet("bud", pflag.ContinueOnError)
	l.Flags(flags, a)
	if err = flags.Parse(strings.Fields(line)); err != nil {
		return l, a, err
	}
	if err = l.refuse(flags.Args()); err != nil {
		return l, a, err
	}
	l.options.Source.Context = strings.Join(flags.Args(), "")
	return l, a, l.fill(a)
}

func TestLines(t *testing.T) {
	for line, has := range map[string]func(*building.Options, *cli.App) bool{
		"x": func(o *building.Options, a *cli.App) bool {
			return !o.Source.Pull && !o.Source.EveryStage && !a.Registries.Insecure
		},
		"-f F x":           func(o *building.Options, _ *cli.App) bool { return o.Source.File == "F" },
		"--pull x":         func(o *building.Options, _ *cli.App) bool { return o.Source.Pull },
		"--pull=newer x":   func(o *building.Options, _ *cli.App) bool { return o.Source.Pull },
		"--pull=false x":   func(o *building.Options, _ *cli.App) bool { return !o.Source.Pull },
		"--squash x":       func(o *building.Options, _ *cli.App) bool { return o.Outputs.Layers == "squash" },
		"--layers x":       func(o *building.Options, _ *cli.App) bool { return o.Outputs.Layers == "auto" && len(o.Notices) == 0 },
		"--layers=false x": func(o *building.Options, _ *cli.App) bool { return len(o.Notices) == 1 },
		"--format=docker x": func(o *building.Options, _ *cli.App) bool {
			return slices.Equal(o.Outputs.Outputs, []string{"type=image,oci-mediatypes=false"})
		},
		"--isolation=chroot x":      func(o *building.Options, _ *cli.App) bool { return o.Isolation.Name == "" },
		"--isolation=root x":        func(o *building.Options, _ *cli.App) bool { return o.Isolation.Name == "root" },
		"--tls-verify=false x":      func(_ *building.Options, a *cli.App) bool { return a.Registries.Insecure },
		"--authfile=F x":            func(_ *building.Options, a *cli.App) bool { return a.Registries.OnlyAuthFile == "F" },
		"--arch=arm64 x":            func(o *building.Options, _ *cli.App) bool { return o.Source.Platform == "linux/arm64" },
		"--arch=arm --variant=v7 x": func(o *building.Options, _ *cli.App) bool { return o.Source.Platform == "linux/arm/v7" },
		"--timestamp=5 x":           func(o *building.Options, _ *cli.App) bool { return o.Source.Epoch == "5" },
		"--cache-ttl=2h --cache-from=r.example/c --cache-to=r.example/c x": func(o *building.Options, _ *cli.App) bool {
			return o.Caches.MaxAge == 2*time.Hour && slices.Equal(o.Caches.From, []string{"r.example/c"}) && slices.Equal(o.Caches.To, o.Caches.From)
		},
		"--skip-unused-stages=false x": func(o *building.Options, _ *cli.App) bool { return o.Source.EveryStage },
		"--omit-history=false x":       func(*building.Options, *cli.App) bool { return true },
		"--rm --force-rm --compress --memory=1g -t a --label b=c --ulimit nofile=1 --no-cache --jobs 3 x": func(o *building.Options, _ *cli.App) bool {
			return o.Caches.NoCache && o.Jobs == 3 && slices.Equal(o.Outputs.Tags, []string{"a"})
		},
	} {
		l, a, err := parse(line, nil)
		if err != nil || !has(l.options, a) {
			t.Errorf("%s: %v\n%+v", line, err, l.options)
		}
	}
	l, _, err := parse("x", map[string]string{"BUILDAH_FORMAT": "docker", "BUILDAH_ISOLATION": "norun"})
	if err != nil || len(l.options.Outputs.Outputs) != 1 || l.options.Isolation.Name != "norun" {
		t.Errorf("the environment: %v %+v", err, l.options)
	}
}

// What is refused says what to do instead, and no flag is both refused and without effect.
func TestRefused(t *testing.T) {
	for name, remedy := range refused {
		line := "--" + name
		if !switches[name] {
			line += "=x"
		}
		if _, _, err := parse(line, nil); err == nil || remedy == "" || slices.Contains(idle, name) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{"--pull=never", "--pull=now", "--format=v2s1", "-f a -f b", "a b"} {
		if _, _, err := parse(line, nil); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

func TestContainerfileComesFirst(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Dockerfile", "Containerfile"} {
		l, _, err := parse(dir, nil)
		if err != nil || l.options.Source.File != "" {
			t.Errorf("%v %q", err, l.options.Source.File)
		}
		if err := os.WriteFile(dir+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if l, _, err := parse(dir, nil); err != nil || l.options.Source.File != dir+"/Containerfile" {
		t.Errorf("%v %q", err, l.options.Source.File)
	}
}
