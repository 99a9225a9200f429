// This file owns the instructions that change nothing but the config of the image: ENV, LABEL, USER, CMD and the like.

package dockerfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/sys/signal"
)

// configure does the instructions that change nothing but the config.
func (r *resolver) configure(cmd instructions.Command) error {
	c := &r.config.Config
	switch i := cmd.(type) {
	case *instructions.MaintainerCommand:
		r.config.Author = i.Maintainer
		r.commit("MAINTAINER "+i.Maintainer, false)
	case *instructions.EnvCommand:
		r.setEnv(i)
	case *instructions.LabelCommand:
		r.setLabels(i)
	case *instructions.OnbuildCommand:
		c.OnBuild = append(c.OnBuild, i.Expression)
	case *instructions.CmdCommand:
		r.cmd.mark(i, r.lint)
		c.Cmd, c.ArgsEscaped = r.commandLine(i, i.ShellDependantCmdLine), true
		r.commit(fmt.Sprintf("CMD %q", c.Cmd), false)
	case *instructions.EntrypointCommand:
		r.setEntrypoint(i)
	case *instructions.HealthCheckCommand:
		r.setHealthcheck(i)
	case *instructions.UserCommand:
		c.User = i.User
		r.commit("USER "+i.User, false)
	case *instructions.VolumeCommand:
		return r.setVolumes(i)
	case *instructions.StopSignalCommand:
		if _, err := signal.ParseSignal(i.Signal); err != nil {
			return err
		}
		c.StopSignal = i.Signal
		r.commit("STOPSIGNAL "+i.Signal, false)
	case *instructions.ShellCommand:
		c.Shell = i.Shell
		r.commit(fmt.Sprintf("SHELL %v", i.Shell), false)
	default:
		return fmt.Errorf("instruction %s is not known here", cmd.Name())
	}
	return nil
}

// setEnv sets variables for the later instructions, and in the image.
func (r *resolver) setEnv(cmd *instructions.EnvCommand) {
	text := "ENV"
	for _, e := range cmd.Env {
		r.lintDelimiter(cmd, e)
		lintSecretName("ENV", e.Key, cmd.Location(), r.lint)
		text += " " + e.String()
		r.scope.env.set(e.Key, e.Value)
		r.config.Config.Env = setPair(r.config.Config.Env, e.Key, e.Value)
	}
	r.commit(text, false)
}

// lintDelimiter warns about NAME VALUE, the form without =.
func (r *resolver) lintDelimiter(cmd instructions.Command, pair instructions.KeyValuePair) {
	if pair.NoDelim {
		r.lint.Run(&linter.RuleLegacyKeyValueFormat, cmd.Location(), linter.RuleLegacyKeyValueFormat.Format(cmd.Name()))
	}
}

// setLabels adds labels; one of the base with the same name is replaced.
func (r *resolver) setLabels(cmd *instructions.LabelCommand) {
	c := &r.config.Config
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	text := "LABEL"
	for _, l := range cmd.Labels {
		r.lintDelimiter(cmd, l)
		c.Labels[l.Key] = l.Value
		text += " " + l.String()
	}
	r.commit(text, false)
}

// commandLine wraps the shell form in the shell.
func (r *resolver) commandLine(cmd instructions.Command, line instructions.ShellDependantCmdLine) []string {
	if !line.PrependShell {
		return line.CmdLine
	}
	if len(r.config.Config.Shell) == 0 {
		r.lint.Run(&linter.RuleJSONArgsRecommended, cmd.Location(), linter.RuleJSONArgsRecommended.Format(cmd.Name()))
	}
	return r.withShell(line.CmdLine)
}

// withShell puts the words behind the shell of the image, as one text.
func (r *resolver) withShell(args []string) []string {
	shell := r.config.Config.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), strings.Join(args, " "))
}

// setEntrypoint sets the program of the image.
func (r *resolver) setEntrypoint(cmd *instructions.EntrypointCommand) {
	r.entrypoint.mark(cmd, r.lint)
	c := &r.config.Config
	c.Entrypoint = r.commandLine(cmd, cmd.ShellDependantCmdLine)
	if !r.cmd.set {
		c.Cmd = nil // the base's arguments were meant for the base's program
	}
	r.commit(fmt.Sprintf("ENTRYPOINT %q", c.Entrypoint), false)
}

// setHealthcheck sets the check; what the base had of one is gone.
func (r *resolver) setHealthcheck(cmd *instructions.HealthCheckCommand) {
	r.healthcheck.mark(cmd, r.lint)
	h := cmd.Health
	r.config.Config.Healthcheck = &v1.HealthConfig{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
	r.scope.startInterval = h.StartInterval
	r.commit(fmt.Sprintf("HEALTHCHECK %+v", *h), false)
}

// setVolumes adds volumes to those of the base.
func (r *resolver) setVolumes(cmd *instructions.VolumeCommand) error {
	c := &r.config.Config
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, v := range cmd.Volumes {
		if v == "" {
			return errors.New("VOLUME specified can not be an empty string")
		}
		c.Volumes[v] = struct{}{}
	}
	r.commit(fmt.Sprintf("VOLUME %v", cmd.Volumes), false)
	return nil
}
