package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gbuild/gbuild/pkg/container"
)

func TestRowOf(t *testing.T) {
	now := time.Now()
	r := &container.Record{ID: strings.Repeat("ab", 32), Name: "one", Image: "img", Command: []string{"sleep", "a long while, and longer"}, Created: now.Add(-time.Hour),
		Started: now.Add(-2 * time.Minute), Finished: now, ExitCode: 3, Ports: []string{"0.0.0.0:80->80/tcp", "0.0.0.0:81->81/tcp"}}
	for status, want := range map[container.Status]string{container.StatusRunning: "Up 2 minutes", container.StatusCreated: "Created",
		container.StatusExited: "Exited (3) Less than a second ago", container.StatusRestarting: "Restarting (3) Less than a second ago"} {
		r.Status = status
		row := rowOf(r, false)
		if row.Status != want || row.ID != "abababababab" || row.Command != `"sleep a long while,…"` || row.RunningFor != "About an hour ago" || row.Ports != "0.0.0.0:80->80/tcp, 0.0.0.0:81->81/tcp" {
			t.Errorf("%s: %+v", status, row)
		}
	}
	if row := rowOf(r, true); row.ID != r.ID || row.Command != `"sleep a long while, and longer"` {
		t.Errorf("%+v", row)
	}
}
