// This file owns gbuild setup, which prepares a machine for gbuild where that takes more than its binary.

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/outfile"
	"github.com/gbuild/gbuild/pkg/runtime/host"
)

func newSetupCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{Use: "setup", Short: "Prepare this machine for gbuild"}
	c.AddCommand(newSetupApparmorCommand(a))
	return c
}

func newSetupApparmorCommand(a *cli.App) *cobra.Command {
	var install bool
	c := &cobra.Command{
		Use: "apparmor", Short: "Print the AppArmor profile that lets gbuild use user namespaces, or install it", Args: cobra.NoArgs,
		Long: `Print the AppArmor profile that lets gbuild use user namespaces, which Ubuntu 23.10 and later keep from programs without one.
With --install, as root, it is written to /etc/apparmor.d/gbuild and loaded.`,
		Example: `  gbuild setup apparmor
  sudo gbuild setup apparmor --install`,
		RunE: func(c *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program: %w", err)
			}
			if !install {
				fmt.Fprint(a.Stdout, apparmorProfile(binary))
				return nil
			}
			if err := system.install(c.Context(), binary); err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "%s may use user namespaces now, by %s\n", binary, system.file)
			return nil
		},
	}
	c.Flags().BoolVar(&install, "install", false, "write the profile to "+system.file+" and load it")
	return c
}

// apparmorProfile is for the binary at that path. It confines nothing: what it adds is one permission.
func apparmorProfile(binary string) string {
	special := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`, `^`, `\^`)
	return fmt.Sprintf(`# Lets gbuild make user namespaces, as an ordinary user. Whoever may write to the binary gets the same.
abi <abi/4.0>,
include <tunables/global>

profile gbuild "%s" flags=(unconfined) {
  userns,

  include if exists <local/gbuild>
}
`, special.Replace(binary))
}

// apparmorOf is where AppArmor is on a machine.
type apparmorOf struct {
	enabled string // the file that has Y where the kernel enforces profiles
	file    string // the profile of gbuild
}

var system = apparmorOf{enabled: "/sys/module/apparmor/parameters/enabled", file: "/etc/apparmor.d/gbuild"}

// install writes the profile and loads it.
func (s apparmorOf) install(ctx context.Context, binary string) error {
	if enabled, _ := os.ReadFile(s.enabled); !bytes.HasPrefix(enabled, []byte("Y")) {
		return &host.Missing{What: "AppArmor is not active here, so it keeps nothing from gbuild", Remedy: "gbuild doctor says what else is missing"}
	}
	if os.Geteuid() != 0 {
		return &host.Missing{What: "only root installs profiles of AppArmor", Remedy: "run: sudo gbuild setup apparmor --install"}
	}
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		return &host.Missing{What: "apparmor_parser is not installed", Remedy: "install it: apt-get install apparmor"}
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return fmt.Errorf("installing the profile: %w", err)
	}
	if err := outfile.WriteText(ctx, s.file, apparmorProfile(binary)); err != nil {
		return fmt.Errorf("installing the profile: %w", err)
	}
	if out, err := exec.CommandContext(ctx, parser, "--replace", s.file).CombinedOutput(); err != nil {
		return hint.Errorf("see the profile in "+s.file, "loading the profile: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
