package dockerfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/sys/signal"
)

// inherit copies what an image takes over from its base: the fields of the OCI specification and Docker's three.
func inherit(base *v1.ConfigFile) *v1.ConfigFile {
	if base == nil {
		return nil
	}
	b := base.DeepCopy()
	return &v1.ConfigFile{
		Architecture: b.Architecture, OS: b.OS, OSVersion: b.OSVersion, OSFeatures: b.OSFeatures, Variant: b.Variant,
		Author: b.Author, History: b.History, RootFS: b.RootFS,
		Config: v1.Config{
			User: b.Config.User, ExposedPorts: b.Config.ExposedPorts, Env: b.Config.Env, Entrypoint: b.Config.Entrypoint,
			Cmd: b.Config.Cmd, Volumes: b.Config.Volumes, WorkingDir: b.Config.WorkingDir, Labels: b.Config.Labels,
			StopSignal: b.Config.StopSignal, ArgsEscaped: b.Config.ArgsEscaped, Healthcheck: b.Config.Healthcheck,
			OnBuild: b.Config.OnBuild, Shell: b.Config.Shell,
		},
	}
}

// emptyConfig is the config of scratch.
func emptyConfig(p v1.Platform, defaults bool) *v1.ConfigFile {
	c := &v1.ConfigFile{
		Architecture: p.Architecture, OS: p.OS, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures, Variant: p.Variant,
		RootFS: v1.RootFS{Type: "layers"},
	}
	if defaults {
		c.Config.WorkingDir = "/"
		c.Config.Env = []string{"PATH=" + defaultPath}
	}
	return c
}

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

func (r *resolver) setEnv(cmd *instructions.EnvCommand) {
	text := "ENV"
	for _, e := range cmd.Env {
		r.lintDelimiter(cmd, e)
		lintSecretName("ENV", e.Key, cmd.Location(), r.lint)
		text += " " + e.String()
		r.env.set(e.Key, e.Value)
		r.config.Config.Env = setPair(r.config.Config.Env, e.Key, e.Value)
	}
	r.commit(text, false)
}

func (r *resolver) lintDelimiter(cmd instructions.Command, pair instructions.KeyValuePair) {
	if pair.NoDelim {
		r.lint.Run(&linter.RuleLegacyKeyValueFormat, cmd.Location(), linter.RuleLegacyKeyValueFormat.Format(cmd.Name()))
	}
}

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

func (r *resolver) withShell(args []string) []string {
	shell := r.config.Config.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), strings.Join(args, " "))
}

func (r *resolver) setEntrypoint(cmd *instructions.EntrypointCommand) {
	r.entrypoint.mark(cmd, r.lint)
	c := &r.config.Config
	c.Entrypoint = r.commandLine(cmd, cmd.ShellDependantCmdLine)
	if !r.cmd.set {
		c.Cmd = nil // the base's arguments were meant for the base's program
	}
	r.commit(fmt.Sprintf("ENTRYPOINT %q", c.Entrypoint), false)
}

func (r *resolver) setHealthcheck(cmd *instructions.HealthCheckCommand) {
	r.healthcheck.mark(cmd, r.lint)
	h := cmd.Health
	r.config.Config.Healthcheck = &v1.HealthConfig{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
	r.startInterval = h.StartInterval
	r.commit(fmt.Sprintf("HEALTHCHECK %+v", *h), false)
}

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

// hiddenArgs are build arguments for the builder: declared or not, no process sees them.
var hiddenArgs = map[string]bool{"BUILDKIT_SBOM_SCAN_CONTEXT": true, "BUILDKIT_SBOM_SCAN_STAGE": true}

// arg declares ARGs: the value is the build argument's, else the default's, else the global ARG's, else there is none.
func (r *resolver) arg(cmd *instructions.ArgCommand) error {
	var texts []string
	for _, a := range cmd.Args {
		lintSecretName("ARG", a.Key, cmd.Location(), r.lint)
		value, err := r.argValue(cmd, a)
		if err != nil {
			return err
		}
		text := a.Key
		if value != nil {
			text += "=" + *value
			if !hiddenArgs[a.Key] {
				r.env.set(a.Key, *value)
			}
		}
		r.args = append(r.args, argument{a.Key, value})
		texts = append(texts, text)
	}
	r.commit("ARG "+strings.Join(texts, " "), false)
	return nil
}

func (r *resolver) argValue(cmd *instructions.ArgCommand, a instructions.KeyValuePairOptional) (*string, error) {
	given, isGiven := r.plan.args[a.Key]
	global, isGlobal := r.plan.global.Get(a.Key)
	var value *string
	switch {
	case isGiven:
		value = &given
	case a.Value != nil:
		word, err := r.word(*a.Value, r.lex, cmd)
		if err != nil {
			return nil, err
		}
		value = &word
	case isGlobal:
		value = &global
	}
	r.seen.declare(a, value, cmd, !isGiven && a.Value == nil && isGlobal)
	return value, nil
}

// workdir sets the directory and makes a step that creates it.
func (r *resolver) workdir(cmd *instructions.WorkdirCommand) error {
	if !r.workdirSet && !path.IsAbs(cmd.Path) {
		r.lint.Run(&linter.RuleWorkdirRelativePath, cmd.Location(), linter.RuleWorkdirRelativePath.Format(cmd.Path))
	}
	r.workdirSet = true
	c := &r.config.Config
	c.WorkingDir = absolute(c.WorkingDir, cmd.Path)
	dir := c.WorkingDir
	if dir == "/" {
		r.commit("WORKDIR /", false)
		return nil
	}
	step := &Mkdir{Path: path.Clean(dir), User: c.User}
	if e := r.plan.Epoch; e != nil {
		t := time.Unix(*e, 0).UTC()
		step.Time = &t
	}
	step.meta = Meta{
		Location: locate(cmd.Location()), Title: r.title(cmd.String(), r.lex, r.env),
		History: r.commit("WORKDIR "+dir, true),
	}
	r.out.Steps = append(r.out.Steps, step)
	return nil
}

// absolute joins a relative path to the directory, as WORKDIR does: an absolute one stays as it is written.
func absolute(dir, p string) string {
	switch {
	case path.IsAbs(p):
		return p
	case p == "" && path.IsAbs(dir):
		return dir
	}
	return path.Join("/", dir, p)
}

// StartInterval reads the start interval of the health check out of the JSON of an image config. v1.HealthConfig drops
// it; see Stage.BaseStartInterval.
func StartInterval(config []byte) time.Duration {
	var c struct {
		Config struct {
			Healthcheck struct{ StartInterval time.Duration }
		} `json:"config"`
	}
	if json.Unmarshal(config, &c) != nil {
		return 0
	}
	return c.Config.Healthcheck.StartInterval
}

// MarshalConfig returns the JSON of c, which is the Config of r with whatever the caller has added to it, with the start
// interval of its health check.
func (r *Resolved) MarshalConfig(c *v1.ConfigFile) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil || r.StartInterval == 0 || c.Config.Healthcheck == nil {
		return raw, err
	}
	var file, config, health map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(raw, &file), json.Unmarshal(file["config"], &config),
		json.Unmarshal(config["Healthcheck"], &health)); err != nil {
		return nil, fmt.Errorf("adding the start interval to the config: %w", err)
	}
	health["StartInterval"] = fmt.Append(nil, int64(r.StartInterval))
	return nest(file, "config", config, "Healthcheck", health)
}

func nest(file map[string]json.RawMessage, outer string, config map[string]json.RawMessage, inner string, health any) ([]byte, error) {
	var err error
	if config[inner], err = json.Marshal(health); err != nil {
		return nil, err
	}
	if file[outer], err = json.Marshal(config); err != nil {
		return nil, err
	}
	return json.Marshal(file)
}
