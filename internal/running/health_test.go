package running

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestHealthCheck(t *testing.T) {
	image := &v1.HealthConfig{Test: []string{"CMD", "probe", "-x"}, Interval: time.Second, Retries: 4}
	for _, c := range []struct {
		flags  string
		config v1.Config
		want   string // the arguments
		every  time.Duration
		times  int
	}{
		{"", v1.Config{}, "", 0, 0},
		{"", v1.Config{Healthcheck: image}, "probe -x", time.Second, 4},
		{"--health-interval 3s --health-retries 1", v1.Config{Healthcheck: image}, "probe -x", 3 * time.Second, 1},
		{"--health-cmd true", v1.Config{Healthcheck: image}, "/bin/sh -c true", time.Second, 4},
		{"", v1.Config{Shell: []string{"bash", "-ec"}, Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "probe"}}}, "bash -ec probe", 0, 0},
		{"", v1.Config{Healthcheck: &v1.HealthConfig{Test: []string{"NONE"}}}, "", 0, 0},
		{"--no-healthcheck", v1.Config{Healthcheck: image}, "", 0, 0},
	} {
		o := parseRun(t, strings.Fields(c.flags)...)
		if err := o.Health.parse(); err != nil {
			t.Fatal(err)
		}
		got := o.Health.check(&c.config)
		if (got == nil) != (c.want == "") || got != nil && (strings.Join(got.Args, " ") != c.want || got.Interval != c.every || got.Retries != c.times) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	for _, flags := range []string{"--no-healthcheck --health-cmd true", "--health-retries -1", "--health-interval 1us"} {
		if err := parseRun(t, strings.Fields(flags)...).Health.parse(); err == nil {
			t.Errorf("%s was taken", flags)
		}
	}
}
