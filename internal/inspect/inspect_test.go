package inspect

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"github.com/gbuild/gbuild/pkg/container"
)

// The words are docker's, so that scripts find them.
func TestOfContainer(t *testing.T) {
	c := &container.Container{Record: container.Record{ID: strings.Repeat("ab", 32), Name: "api", Image: "app:1", Command: []string{"serve", "-x"}, Created: time.Unix(0, 0), Status: container.StatusRunning,
		Pid: 7, Ports: []string{"0.0.0.0:8080->80/tcp", "[::1]:81->80/tcp", "bad"}, Labels: map[string]string{"a": "flag"},
		Health: &container.Health{Status: container.HealthHealthy}, Mounts: []container.MountPoint{{Type: "bind", Source: "/a", Destination: "/b", RW: true}}}}
	text, err := json.Marshal(OfContainer(c, &v1.ConfigFile{Config: v1.Config{User: "app", Env: []string{"A=image"}, Labels: map[string]string{"a": "image", "b": "image"}}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Id":"abab`, `"Created":"1970-01-01T00:00:00Z"`, `"Path":"serve","Args":["-x"]`, `"Status":"running","Running":true`, `"Pid":7`, `"Health":{"Status":"healthy"`, `"Name":"/api"`,
		`"Labels":{"a":"flag","b":"image"}`, `"Env":["A=image"]`, `"User":"app"`, `"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::1","HostPort":"81"}]`, `"Destination":"/b","RW":true`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

func TestOfImage(t *testing.T) {
	d, err := OfImage(empty.Image, []string{"app:1"}, nil)
	if err != nil || !strings.HasPrefix(d.ID, "sha256:") || d.RootFS.Type != "layers" || d.RepoTags[0] != "app:1" {
		t.Errorf("%+v, %v", d, err)
	}
}
