// This file owns the table of command lines of docker run with GPUs.

package testgpu

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed files/docker-run.txt
var table string

// Line is a command line of the table.
type Line struct {
	Text   string   // for the shell, without marks
	Refuse string   // a part of the error, or of its hint; "" where it starts
	Try    bool     // whether it is to be started
	Args   []string // what follows docker run
}

// Lines reads the table, and lets a shell make words of the lines in a home directory, which gets the files that they name.
func Lines(t testing.TB, home string) []Line {
	t.Helper()
	return Words(t, home, "docker", table)
}

// Words lets a shell make words of the command lines of a program in a home directory, which gets the files that they name.
func Words(t testing.TB, home, program, text string) (lines []Line) {
	t.Helper()
	script := program + "() { printf '%s\\0' \"$@\"; printf '\\036'; }; podman() { docker \"$@\"; }; sudo() { \"$@\"; }\n"
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one := Line{Text: strings.TrimLeft(line, "!+ "), Try: strings.HasPrefix(line, "+")}
		if strings.HasPrefix(line, "!") {
			at := strings.LastIndex(one.Text, " # ")
			one.Text, one.Refuse = one.Text[:at], one.Text[at+3:]
		}
		lines = append(lines, one)
		script += one.Text + "\n"
	}
	cmd := exec.Command("sh", "-eu")
	cmd.Stdin, cmd.Stderr, cmd.Dir, cmd.Env = strings.NewReader(script), os.Stderr, home, Environ(t, home)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	records := strings.Split(strings.TrimSuffix(string(out), "\x1e"), "\x1e")
	if len(records) != len(lines) {
		t.Fatalf("%d lines became %d commands", len(lines), len(records))
	}
	for i, r := range records {
		lines[i].Args = strings.Split(strings.TrimSuffix(r, "\x00"), "\x00")[1:]
	}
	return lines
}

// Environ makes the files that the lines name in a home directory, and returns variables that they use.
func Environ(t testing.TB, home string) []string {
	t.Helper()
	for _, file := range []string{".env", "prod.env", "lmcache.yaml", "environment.yml", ".Xauthority", "notebooks/n", "path/to/x"} {
		name := filepath.Join(home, file)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil {
			err = os.WriteFile(name, []byte("A=1\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return append(os.Environ(), "HOME="+home, "HF_TOKEN=x", "NGC_API_KEY=x", "LOCAL_NIM_CACHE="+home+"/nim", "DISPLAY=:0", "USER=me", "volume="+home+"/data", "model=acme/m", "token=x")
}
