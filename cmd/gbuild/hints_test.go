package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
)

// literals calls f with each text that the program has, but for those of tests and of what helps them.
func literals(t *testing.T, f func(at token.Position, text string)) {
	t.Helper()
	files := token.NewFileSet()
	for _, dir := range []string{".", "../../internal", "../../pkg"} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), "test")) {
				return errorOr(err, fs.SkipDir)
			}
			if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(files, p, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					text, _ := strconv.Unquote(l.Value)
					f(files.Position(l.Pos()), text)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// words are all commands and all flags of the program.
func words(c *cobra.Command, commands, flags map[string]bool) {
	commands[c.Name()] = true
	for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
	}
	for _, sub := range c.Commands() {
		words(sub, commands, flags)
	}
}

// In a text, a flag is one of gbuild's unless another program is named before it; a command is in backquotes, or is to be run. What the rooms
// about package managers and shells know are flags of those.
var (
	flagInText    = regexp.MustCompile(`(?:^|[^-a-zA-Z0-9_])--([a-z][a-z0-9-]*[a-z0-9])`)
	commandInText = regexp.MustCompile("(?:`|run:? (?:sudo )?|try )gbuild ([a-z]+)")
	noCommand     = regexp.MustCompile("^(as|in|on|outside|with|without)$")
	otherProgram  = regexp.MustCompile(`\b(usermod|unshare|systemd-run|systemctl|loginctl|wsl|apparmor_parser|RUN|COPY|ADD|pip|apt-get|git|nvidia-[a-z-]+|[Dd]ocker|podman|skopeo|az)\b`)
	otherRooms    = regexp.MustCompile(`/pkg/(shell|installer|caching)/`)
)

func TestHintsNameWhatThereIs(t *testing.T) {
	commands, flags := map[string]bool{}, map[string]bool{}
	for _, name := range []string{"checksum", "chmod", "chown", "exclude", "link", "parents", "security"} {
		flags[name] = true // of instructions of a Dockerfile
	}
	words(newRootCommand(cli.New(func(string) (string, bool) { return "", false }, nil, cli.Handed{})), commands, flags)
	named := 0
	literals(t, func(at token.Position, text string) {
		// What has no space is a word that a program is given.
		if !strings.Contains(text, " ") || otherRooms.MatchString(at.Filename) {
			return
		}
		for _, m := range flagInText.FindAllStringSubmatchIndex(text, -1) {
			group := strings.HasPrefix(text[m[1]:], "-*") // the beginning of several
			if name := text[m[2]:m[3]]; !group && !flags[name] && !otherProgram.MatchString(text[:m[0]]) {
				t.Errorf("%s names --%s, and no command has that: %q", at, name, text)
			}
			named++
		}
		for _, m := range commandInText.FindAllStringSubmatch(text, -1) {
			if !commands[m[1]] && !noCommand.MatchString(m[1]) {
				t.Errorf("%s names gbuild %s, which is no command: %q", at, m[1], text)
			}
			named++
		}
	})
	if named < 100 {
		t.Errorf("only %d flags and commands were found", named)
	}
}
