package dockerfile

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the want section of testdata/*.txtar")

// TestGolden resolves the Dockerfile of each testdata/*.txtar. Its sections are Dockerfile; options, a line each: arg K=V,
// target X, platform P, context N=V, label K=V, ignore PATTERN, network X, all (resolve every stage); base NAME, the JSON
// config of that image; and want, what the test prints.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string]string{}
			for _, f := range archive.Files {
				sections[f.Name] = string(f.Data)
			}
			got := printAll(t, sections)
			if *update {
				setSection(archive, "want", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := sections["want"]; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func setSection(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

func readOptions(t *testing.T, text string) (o Options, all bool) {
	o = Options{
		Args: map[string]string{}, Contexts: map[string]string{}, Labels: map[string]string{},
		BuildPlatform: v1.Platform{OS: "linux", Architecture: "amd64"},
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		word, value, _ := strings.Cut(line, " ")
		k, v, _ := strings.Cut(value, "=")
		switch word {
		case "":
		case "all":
			all = true
		case "arg":
			o.Args[k] = v
		case "context":
			o.Contexts[k] = v
		case "label":
			o.Labels[k] = v
		case "target":
			o.Target = value
		case "network":
			o.Network = value
		case "ignore":
			o.Ignore = append(o.Ignore, value)
		case "platform":
			p, err := v1.ParsePlatform(value)
			if err != nil {
				t.Fatal(err)
			}
			o.Platform = *p
		default:
			t.Fatalf("unknown option %q", line)
		}
	}
	return o, all
}

// resolution resolves stages in the order of need, as a build does.
type resolution struct {
	bases map[string]string
	done  map[*Stage]*Resolved
	order []*Stage
}

func (r *resolution) stage(s *Stage) error {
	if r.done[s] != nil {
		return nil
	}
	var base *v1.ConfigFile
	switch s.Base.Kind {
	case FromStage:
		if err := r.stage(s.Base.Stage); err != nil {
			return err
		}
		base = r.done[s.Base.Stage].Config
	case FromImage:
		base = &v1.ConfigFile{OS: "linux", Architecture: "amd64"}
		if text, ok := r.bases[s.Base.Name]; ok {
			if err := json.Unmarshal([]byte(text), base); err != nil {
				return err
			}
			s.BaseStartInterval = StartInterval([]byte(text))
		}
	}
	res, err := s.Resolve(base)
	if err != nil {
		return err
	}
	r.done[s] = res
	r.order = append(r.order, s)
	for _, step := range res.Steps {
		for _, src := range sourcesOf(step) {
			if src.Kind == FromStage {
				if err := r.stage(src.Stage); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func sourcesOf(step Step) []Source {
	var out []Source
	switch s := step.(type) {
	case *Copy:
		out = append(out, s.From)
	case *Run:
		for _, m := range s.Mounts {
			if m.From != nil {
				out = append(out, *m.From)
			}
		}
	}
	return out
}

func printAll(t *testing.T, sections map[string]string) string {
	o, all := readOptions(t, sections["options"])
	var b strings.Builder
	p, err := Parse("Dockerfile", []byte(sections["Dockerfile"]), o)
	if err != nil {
		printError(&b, err)
		return b.String()
	}
	r := &resolution{bases: map[string]string{}, done: map[*Stage]*Resolved{}}
	for name, text := range sections {
		if image, ok := strings.CutPrefix(name, "base "); ok {
			r.bases[image] = text
		}
	}
	stages := []*Stage{p.Target}
	if all {
		stages = p.Stages
	}
	found := p.Warnings
	for _, s := range stages {
		if err := r.stage(s); err != nil {
			printError(&b, err)
			return b.String()
		}
	}
	if src := p.EpochSource; src != nil {
		fmt.Fprintf(&b, "epoch from %s\n", sourceText(*src))
	}
	for _, s := range p.Stages {
		if res := r.done[s]; res != nil {
			found = append(found, res.Warnings...)
			printStage(t, &b, s, res, s == p.Target)
		}
	}
	for _, w := range found {
		fmt.Fprintf(&b, "warning %s %d: %s\n", w.Rule, w.Location.Start, w.Message)
	}
	if err := p.CheckError(found); err != nil {
		printError(&b, err)
	}
	return b.String()
}

func printError(b *strings.Builder, err error) {
	fmt.Fprintf(b, "error %v\n", err)
	var e *Error
	if !errors.As(err, &e) {
		fmt.Fprintf(b, "which is no *Error but %T\n", err)
		return
	}
	b.WriteString(e.Excerpt())
	if e.Hint() != "" {
		fmt.Fprintf(b, "hint %s\n", e.Hint())
	}
}

func sourceText(s Source) string {
	switch s.Kind {
	case FromStage:
		return fmt.Sprintf("stage %d", s.Stage.Index)
	case FromImage:
		return fmt.Sprintf("image %s (%s)", s.Name, formatPlatform(s.Platform, true))
	case FromScratch:
		return "scratch"
	}
	return fmt.Sprintf("context %q", s.Name)
}

func printStage(t *testing.T, b *strings.Builder, s *Stage, res *Resolved, target bool) {
	fmt.Fprintf(b, "stage %d %s from %s\n", s.Index, s.Name, sourceText(s.Base))
	for _, step := range res.Steps {
		printStep(b, step)
	}
	for _, h := range res.Config.History {
		kind := "layer"
		if h.EmptyLayer {
			kind = "empty"
		}
		fmt.Fprintf(b, "  %s %q\n", kind, h.CreatedBy)
	}
	if !target {
		return
	}
	c := res.Config.DeepCopy()
	c.History = nil
	raw, err := res.MarshalConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatalf("config is no JSON: %v", err)
	}
	delete(file, "created")
	delete(file, "rootfs")
	for _, key := range []string{"architecture", "os", "variant", "author"} {
		if file[key] == nil || file[key] == "amd64" || file[key] == "linux" {
			delete(file, key)
		}
	}
	raw, err = json.MarshalIndent(file, "  ", " ")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "  %s\n", strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw)))
}

func printStep(b *strings.Builder, step Step) {
	m := step.Meta()
	fmt.Fprintf(b, "  %d-%d %s\n", m.Location.Start, m.Location.End, m.Title)
	line := func(name string, value any) {
		if text := strings.TrimSuffix(fmt.Sprintf("%q", value), `""`); text != "" && text != "[]" && text != "%!q(bool=false)" {
			fmt.Fprintf(b, "    %s %s\n", name, strings.TrimSuffix(strings.TrimPrefix(text, "%!q(bool="), ")"))
		}
	}
	switch s := step.(type) {
	case *Run:
		line("args", s.Args)
		line("env", s.Env)
		line("proxy", s.ProxyEnv)
		fmt.Fprintf(b, "    in %s as %q\n", s.Dir, s.User)
		line("network", s.Network)
		line("security", s.Security)
		for _, d := range s.Devices {
			fmt.Fprintf(b, "    device %s required=%v\n", d.Name, d.Required)
		}
		for _, m := range s.Mounts {
			printMount(b, m)
		}
		for _, f := range s.Files {
			fmt.Fprintf(b, "    file %s %q\n", f.Path, f.Data)
		}
	case *Copy:
		fmt.Fprintf(b, "    %q from %s to %s\n", s.Sources, sourceText(s.From), s.Dest)
		for _, f := range s.Inline {
			fmt.Fprintf(b, "    inline %s %q\n", f.Path, f.Data)
		}
		line("chown", s.Chown)
		line("chmod", s.Chmod)
		line("link", s.Link)
		line("parents", s.Parents)
		line("exclude", s.Exclude)
		line("checksum", s.Checksum)
		if s.Unpack != nil {
			fmt.Fprintf(b, "    unpack %v\n", *s.Unpack)
		}
		if s.KeepGit != nil {
			fmt.Fprintf(b, "    keep-git-dir %v\n", *s.KeepGit)
		}
	case *Mkdir:
		fmt.Fprintf(b, "    mkdir %s as %q\n", s.Path, s.User)
		if s.Time != nil {
			fmt.Fprintf(b, "    at %d\n", s.Time.Unix())
		}
	}
}

func printMount(b *strings.Builder, m Mount) {
	fmt.Fprintf(b, "    mount %s %s", m.Type, m.Target)
	if m.From != nil {
		fmt.Fprintf(b, " from=%s", sourceText(*m.From))
	}
	if m.Source != "" && m.Source != "/" {
		fmt.Fprintf(b, " source=%s", m.Source)
	}
	if m.ReadOnly {
		b.WriteString(" ro")
	}
	for _, pair := range [][2]string{{"id", m.ID}, {"sharing", m.Sharing}, {"env", m.Env}} {
		if pair[1] != "" {
			fmt.Fprintf(b, " %s=%s", pair[0], pair[1])
		}
	}
	if m.Env != "" {
		fmt.Fprintf(b, " file=%v", m.HasTarget)
	}
	if m.UID != nil {
		fmt.Fprintf(b, " uid=%d", *m.UID)
	}
	if m.GID != nil {
		fmt.Fprintf(b, " gid=%d", *m.GID)
	}
	if m.Mode != nil {
		fmt.Fprintf(b, " mode=%04o", *m.Mode)
	}
	if m.Size > 0 {
		fmt.Fprintf(b, " size=%d", m.Size)
	}
	if m.Required {
		b.WriteString(" required")
	}
	b.WriteByte('\n')
}
