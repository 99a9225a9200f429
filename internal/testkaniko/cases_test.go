// This file owns the table: command lines of pipelines, their contexts, and what is known of them.

package testkaniko

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// line is a command line, and what it finds around it. $NAMES in it, and in the values of its variables, are the world's.
type line struct {
	Name      string            `json:"name"`
	From      string            `json:"from"` // the kind of CI that it was seen in
	Line      string            `json:"line"` // in the shell's words, without the name of the program
	Context   string            `json:"context"`
	Env       map[string]string `json:"env"`
	Dir       string            `json:"dir"`       // where it is called; /workspace if empty
	Stdin     bool              `json:"stdin"`     // the context is given as a tar, too
	Login     bool              `json:"login"`     // there are credentials for $PRIVATE
	Twice     bool              `json:"twice"`     // it is called again, in a new container
	Container bool              `json:"container"` // it means something in a container only
	Skip      string            `json:"skip"`      // why it was not tried
	Differs   map[string]string `json:"differs"`   // wanted differences of gbuild: what of an outcome, and why
}

// recorded is what the program that is imitated came to.
type recorded struct {
	Version string             `json:"version"`
	Date    string             `json:"date"`
	Flags   []string           `json:"flags"`
	Lines   map[string]outcome `json:"lines"`
}

const tableDir = "../../testdata/kaniko"

// readJSON reads a file of the table strictly.
func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join(tableDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readLines(t *testing.T) (lines []line) {
	t.Helper()
	readJSON(t, "cases.json", &lines)
	return lines
}

// TestTable fails for a flag of kaniko that no command line has, for a line of which nothing is known, and for a record
// of none.
func TestTable(t *testing.T) {
	var known recorded
	readJSON(t, "recorded.json", &known)
	lines := readLines(t)
	names, words := map[string]bool{}, " "
	for _, l := range lines {
		if names[l.Name] {
			t.Errorf("%s is there twice", l.Name)
		}
		names[l.Name] = true
		words += strings.NewReplacer("=", " ", "'", " ").Replace(l.Line) + " "
		if _, seen := known.Lines[l.Name]; seen == (l.Skip != "") {
			t.Errorf("%s: recorded is %v, and the reason why not is %q", l.Name, seen, l.Skip)
		}
	}
	for name := range known.Lines {
		if !names[name] {
			t.Errorf("%s is recorded, and no command line", name)
		}
	}
	for _, flag := range known.Flags {
		if !strings.Contains(words, " --"+flag+" ") && flag != "context" {
			t.Errorf("no command line has --%s", flag)
		}
	}
	if len(lines) < 60 || len(known.Flags) < 53 {
		t.Errorf("%d lines and %d flags", len(lines), len(known.Flags))
	}
}

// plant writes a context of the table, with the names of registries in its Dockerfiles.
func plant(dir, name string, registries *strings.Replacer) error {
	archive, err := txtar.ParseFile(filepath.Join(tableDir, "contexts", name+".txtar"))
	if err != nil {
		return err
	}
	for _, file := range archive.Files {
		path := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		text := string(file.Data)
		if strings.HasPrefix(filepath.Base(path), "Dockerfile") {
			text = registries.Replace(text)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
