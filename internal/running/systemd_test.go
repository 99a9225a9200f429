package running

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/pkg/container"
)

// readUnit is the unit of a command line.
func readUnit(t *testing.T, r container.Record, variables []string, line ...string) *Unit {
	t.Helper()
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	New().Flags(f)
	u := &Unit{Record: &r, Program: "/usr/bin/gbuild", Dir: "/home/me/100% work"}
	if err := u.read(f, line, variables); err != nil {
		t.Fatal(err)
	}
	return u
}

// someUnits are units, each with the file of testdata that it is.
func someUnits(t *testing.T) map[string]*Unit {
	t.Helper()
	start := readUnit(t, container.Record{Name: "api", Restart: "always", StopTimeout: 10}, nil, "-d", "--name", "api", "-e", "TOKEN=secret", "my-agent")
	limited := readUnit(t, container.Record{Name: "trainer", Restart: "on-failure:3", StopTimeout: -1}, nil, "-dm", "8g", "my-agent")
	limited.Root, limited.Program, limited.System = `/srv/50% "state"`, "/opt/my tools/gbuild", true
	anew := readUnit(t, container.Record{Name: "web", Restart: "unless-stopped", StopTimeout: 60}, []string{"GIVEN=of the caller", "GBUILD_RUN_CACHES=pip"},
		"-dit", "--name=web", "--restart", "unless-stopped", "-e", "TOKEN=secret", "-e", "GIVEN", "-e", "GONE", "--env-file", "./a b.env", "--init", "-v", "./data:/data", "--cpus", "1.5", "-p8000:80",
		"--label", `say="$HOME"`, "my-agent", "sh", "-c", "echo $HOME 100%; exit 1\n", "", `C:\`, "-d")
	anew.New, anew.EnvFile = true, "/home/me/units/container-web.env"
	return map[string]*Unit{"start": start, "limited": limited, "anew": anew}
}

// A unit is this text. GBUILD_UPDATE=1 writes the files anew, to be read by somebody.
func TestUnits(t *testing.T) {
	for name, u := range someUnits(t) {
		text, err := u.Text()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "units", name+".service")
		if os.Getenv("GBUILD_UPDATE") != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), text); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if strings.Contains(text, "secret") {
			t.Errorf("%s shows a value of -e", name)
		}
	}
	u := someUnits(t)["anew"]
	if got := u.EnvText(); got != "TOKEN=secret\nGIVEN=of the caller\n" || !slices.Equal(u.Left, []string{"--tty"}) {
		t.Errorf("%q, left %q", got, u.Left)
	}
}

// What a unit cannot say is refused.
func TestUnitRefusals(t *testing.T) {
	for want, line := range map[string][]string{
		"goes before --dotenv": {"-e", "A=b", "--dotenv", "x", "my-agent"},
		"several lines":        {"-e", "A=b\nc", "my-agent"},
	} {
		f := pflag.NewFlagSet("run", pflag.ContinueOnError)
		New().Flags(f)
		u := &Unit{Record: &container.Record{Name: "x"}, New: true}
		if _, err := u.Text(); err != nil {
			t.Error(err)
		}
		if err := u.read(f, line, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
	if _, err := (&Unit{Record: &container.Record{Name: "x"}, Dir: "/a\n[Service]"}).Text(); err == nil {
		t.Error("a directory of two lines was taken")
	}
}

// systemd itself has nothing to say against a unit, whose program has to be there.
func TestUnitsAreSystemds(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	verify := func(text string) string {
		file := filepath.Join(dir, "container-x.service")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(out)
		}
		return string(out)
	}
	if said := verify("[Unit]\nDescription=plain\n[Service]\nExecStart=/bin/true\n"); said != "" {
		t.Skipf("systemd-analyze verify does not work here: %s", said)
	}
	if verify("[Service]\nExecStart=/bin/true\nRestart=perhaps\n") == "" {
		t.Fatal("systemd-analyze takes everything")
	}
	program := filepath.Join(dir, "a gbuild")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, u := range someUnits(t) {
		u.Program = program
		text, err := u.Text()
		if err != nil {
			t.Fatal(err)
		}
		if said := verify(text); said != "" {
			t.Errorf("%s: %s\n%s", name, said, text)
		}
	}
}
