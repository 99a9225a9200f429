// This file owns the configs of images: what one takes over from its base, and how it is written as JSON.

package dockerfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Resolved is a stage with all that its base said about it.
type Resolved struct {
	Steps []Step
	// Config is the image's. Its History is the base's and one entry for each instruction, and Created is left zero.
	Config   *v1.ConfigFile
	Warnings []Warning

	// StartInterval is the health check's, for which v1.HealthConfig has no field. MarshalConfig writes it.
	StartInterval time.Duration
}

// defaultPath is the PATH of an image that has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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
	if err := errors.Join(put(config, "Healthcheck", health), put(file, "config", config)); err != nil {
		return nil, err
	}
	return json.Marshal(file)
}

// put writes a value into an object.
func put(object map[string]json.RawMessage, name string, value any) (err error) {
	object[name], err = json.Marshal(value)
	return err
}

// setPair replaces name's entry in a list of NAME=VALUE where it stands, or appends one: the Env of an image has its variables in
// the order in which they were first defined. A process gets them in another order (variables.go).
func setPair(list []string, name, value string) []string {
	for i, pair := range list {
		if n, _, _ := strings.Cut(pair, "="); n == name {
			list[i] = name + "=" + value
			return list
		}
	}
	return append(list, name+"="+value)
}
