// This file owns the document of a container.

package inspect

import (
	"net"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/container"
)

// Container is the document: the fields of docker's that have a meaning here, and those that scripts ask for all the same.
type Container struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           State
	Image           string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	HostConfig      HostConfig
	Mounts          []container.MountPoint
	Config          Config
	NetworkSettings NetworkSettings
}

// State is how the container does.
type State struct {
	Status                            string
	Running, Paused, Restarting, Dead bool
	Pid, ExitCode                     int
	Error, StartedAt, FinishedAt      string
	Health                            *container.Health `json:",omitempty"`
}

// HostConfig is what the flags asked for.
type HostConfig struct {
	AutoRemove    bool
	RestartPolicy RestartPolicy
	VolumesFrom   []string
}

// RestartPolicy is that of --restart.
type RestartPolicy struct{ Name string }

// Config is the command, and what the image says.
type Config struct {
	Hostname, User, WorkingDir string
	Tty, OpenStdin             bool
	Env, Cmd, Entrypoint       []string
	Image                      string
	Labels                     map[string]string
	ExposedPorts               map[string]struct{} `json:",omitempty"`
	StopSignal                 string
	StopTimeout                int
}

// NetworkSettings are the published ports.
type NetworkSettings struct {
	Ports map[string][]Binding
}

// Binding is an address of the host.
type Binding struct{ HostIp, HostPort string }

// OfContainer words a record; image is what its image said, or nil.
func OfContainer(c *container.Container, image *v1.ConfigFile) Container {
	r := &c.Record
	d := Container{
		ID: r.ID, Created: stamp(r.Created), Image: r.ImageID, LogPath: c.LogPath(), Name: "/" + r.Name, RestartCount: r.Restarts, Driver: "gbuild", Platform: "linux",
		State: State{Status: string(r.Status), Running: r.Status == container.StatusRunning, Restarting: r.Status == container.StatusRestarting, Paused: false, Dead: false, // neither comes about here
			Pid: r.Pid, ExitCode: r.ExitCode,
			Error: r.Error, StartedAt: stamp(r.Started), FinishedAt: stamp(r.Finished), Health: r.Health},
		HostConfig: HostConfig{AutoRemove: r.Forget, RestartPolicy: RestartPolicy{r.Restart}, VolumesFrom: []string{}},
		Mounts:     append([]container.MountPoint{}, r.Mounts...),
		Config: Config{Hostname: r.ShortID(), Tty: r.TTY, OpenStdin: r.Interactive, Cmd: r.Command, Image: r.Image, Labels: map[string]string{}, StopSignal: r.StopSignal,
			StopTimeout: r.StopTimeout, Env: []string{}},
		NetworkSettings: NetworkSettings{Ports: PortsOf(r.Ports)},
	}
	if len(r.Command) > 0 {
		d.Path, d.Args = r.Command[0], r.Command[1:]
	}
	if image != nil {
		of := image.Config
		d.Config.Entrypoint, d.Config.User, d.Config.WorkingDir, d.Config.Env, d.Config.ExposedPorts = of.Entrypoint, of.User, of.WorkingDir, append(d.Config.Env, of.Env...), of.ExposedPorts
		for name, value := range of.Labels {
			d.Config.Labels[name] = value
		}
	}
	for name, value := range r.Labels {
		d.Config.Labels[name] = value
	}
	return d
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// PortsOf reads published ports, as ADDRESS:PORT->PORT/PROTOCOL.
func PortsOf(published []string) map[string][]Binding {
	all := map[string][]Binding{}
	for _, text := range published {
		at, target, _ := strings.Cut(text, "->")
		host, number, err := net.SplitHostPort(at)
		if err != nil {
			continue
		}
		all[target] = append(all[target], Binding{host, number})
	}
	return all
}
