package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gbuild/gbuild/internal/testimage"
)

// hostile is text of a stranger, as far as a file name can be one. EVIL says that it was shown.
const hostile = "EVIL\x1b]0;title\a\x1b]52;c;YQ==\x1b\\\x1b[31m\u009b31m\x9b31m\b\r\n::error::a\n" +
	"\u00a0::set-output name=b::c\r::add-mask::d\r##[command]e ##\u200dvso[task.complete]f ##teamcity[g]\u202eh\u2066i\u2028::error::j\u061c" +
	"section_start:1:k\r\x1b[0Kl"

// inLine is hostile without line ends, for places that have none; quoted is fit for a string in JSON.
var (
	inLine = strings.NewReplacer("\n", " ").Replace(hostile)
	quoted = strings.Trim(fmt.Sprintf("%q", strings.ToValidUTF8(strings.NewReplacer("\a", "", "\x1b", "", "\b", "", "\r", "").Replace(inLine), "")), `"`)
)

// hostileManifest is of a kind that nobody knows.
var hostileManifest = `{"schemaVersion":2,"mediaType":"` + quoted + `"}`

var ciLine = regexp.MustCompile(`(?im)^\s*::|##\pM*[a-z]*\[`)

// mischief is what of out a terminal or a CI system would act on.
func mischief(out []byte) string {
	if i := bytes.IndexFunc(out, func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.IsControl(r) || r == utf8.RuneError || unicode.In(r, unicode.Zl, unicode.Zp) ||
			unicode.Is(unicode.Bidi_Control, r)
	}); i >= 0 && !bytes.HasPrefix(out[i:], []byte("\ufffd")) {
		return fmt.Sprintf("%q", out[max(0, i-40):min(len(out), i+40)])
	}
	visible := strings.NewReplacer("\u200c", "", "\u200d", "").Replace(string(out))
	return ciLine.FindString(visible)
}

// hostileServer answers as registries, git servers and file servers do, each with hostile text.
func hostileServer(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead && strings.HasPrefix(r.URL.Path, "/v2/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(hostileManifest))))
		case strings.HasPrefix(r.URL.Path, "/v2/json/"):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"%s","detail":"%s"}]}`, quoted, quoted)
		case strings.HasPrefix(r.URL.Path, "/v2/type/"):
			fmt.Fprint(w, hostileManifest)
		case r.URL.Path == "/v2/":
		default:
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, hostile)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// statusServer answers every request with a status that has hostile text.
func statusServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			fmt.Fprintf(c, "HTTP/1.1 400 EVIL\x1b[31m\u009b##[error]a::b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			c.Close()
		}
	}()
	return l.Addr().String()
}

func hostileTar(t *testing.T, h tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type hostileCase struct {
	name  string
	files map[string]string // of the context; Dockerfile is "FROM scratch" unless given
	args  []string          // build . unless given
	env   []string
	stdin string
	quiet bool // the text is not shown at all
}

func dockerfileCases(base string) []hostileCase {
	of := func(name, text string, args ...string) hostileCase {
		return hostileCase{name: name, files: map[string]string{"Dockerfile": text}, args: args}
	}
	run := "FROM " + base + "\n"
	return []hostileCase{
		of("unknown instruction", "FROM scratch\n"+inLine+" x\n"),
		of("comment in excerpt", "FROM scratch\n# "+inLine+"\nRUNN\n"),
		of("lines in excerpt", "FROM scratch\n"+strings.ReplaceAll(hostile, "\n", "\\\n")+"\nRUNN\n"),
		of("stage name", "FROM scratch AS "+inLine+"\n"),
		of("FROM", "FROM "+strings.ReplaceAll(inLine, " ", "")+"\n"),
		of("COPY source", "FROM scratch\nCOPY [\""+quoted+"\", \"/\"]\n"),
		of("COPY --from", "FROM scratch\nCOPY --from="+strings.ReplaceAll(inLine, " ", "")+" a b\n"),
		of("COPY --chown", "FROM scratch\nCOPY --chown="+strings.ReplaceAll(inLine, " ", "")+" Dockerfile b\n"),
		of("ADD URL", "FROM scratch\nADD http://127.0.0.1:1/"+strings.ReplaceAll(inLine, " ", "")+" b\n"),
		of("flag", "FROM scratch\nCOPY --"+strings.ReplaceAll(inLine, " ", "")+" a b\n"),
		of("ARG of FROM", "ARG A=\""+inLine+"\"\nFROM $A\n"),
		of("ENV", "FROM scratch\nENV A=${EVIL\u009b:?"+inLine+"}\n"),
		of("heredoc name", "FROM scratch\nCOPY <<"+strings.ReplaceAll(inLine, " ", "")+" /x\n"),
		of("directive", "# escape="+inLine+"\nFROM scratch\n"),
		of("syntax", "# syntax="+inLine+"\nFROM scratch\nRUNN EVIL\n"),
		of("mount", "FROM scratch\nRUN --mount=type="+strings.ReplaceAll(inLine, " ", "")+" true\n"),
		of("lint warning", "FROM scratch AS Stage"+strings.NewReplacer(" ", "", "/", "").Replace("EVIL\u0085")+"\nENV A "+inLine+"\nEXPOSE EVIL\n"),
		of("check", "FROM scratch\nENV A "+inLine+"\nCOPY --from="+strings.ReplaceAll(inLine, " ", "")+" a b\n", "build", "--check", "."),
		of("check in JSON", "FROM scratch AS EVIL##[a]\nCOPY --from=EVIL##[a]\u009bx a b\n", "build", "--call=check,format=json", "."),
		of("outline", "# "+inLine+"\nARG A=\""+inLine+"\"\n# t "+inLine+"\nFROM scratch AS t\n", "build", "--call=outline", "."),
		of("outline in JSON", "# "+inLine+"\nARG A=\""+inLine+"\"\n# t "+inLine+"\nFROM scratch AS t\n", "build", "--call=outline,format=json", "."),
		of("targets", "# t "+inLine+"\nFROM scratch AS t\n", "build", "--call=targets", "."),
		of("step title", run+"RUN echo "+inLine+"\n"),
		of("output", run+"COPY x /x\nRUN cat /x; sleep 0.4\n", "build", "--no-cache", "."),
		of("output of an error", run+"COPY x /x\nRUN cat /x >&2; false\n"),
		of("quiet output of an error", run+"COPY x /x\nRUN cat /x >&2; false\n", "build", "--progress=quiet", "."),
		of("output in JSON", run+"COPY x /x\nRUN echo EVIL '"+inLine+"'; cat /x\n", "build", "--progress=json", "."),
		of("USER", run+"USER "+strings.ReplaceAll(inLine, " ", "")+"\nRUN true\n"),
		of("WORKDIR", run+"WORKDIR /bin/sh/"+inLine+"\n"),
		of("SHELL", run+"SHELL [\""+quoted+"\"]\nRUN true\n"),
		of("command", run+"RUN [\""+quoted+"\"]\n"),
		of("HEALTHCHECK", "FROM scratch\nHEALTHCHECK --interval="+strings.ReplaceAll(inLine, " ", "")+" CMD true\n"),
		of("EXPOSE", "FROM scratch\nEXPOSE "+strings.ReplaceAll(inLine, " ", "")+"\n"),
		of("LABEL", "FROM scratch\nLABEL "+inLine+"\n"),
		of("STOPSIGNAL", "FROM scratch\nSTOPSIGNAL "+inLine+"\n"),
		of("ONBUILD", "FROM scratch\nONBUILD FROM "+inLine+"\n"),
	}
}

func commandCases(server, status string) []hostileCase {
	arg := strings.ReplaceAll(hostile, "/", "")
	pull := func(name, image string) hostileCase {
		return hostileCase{name: name, files: map[string]string{"Dockerfile": "FROM " + image + "\n"}}
	}
	add := func(name, url string) hostileCase {
		return hostileCase{name: name, files: map[string]string{"Dockerfile": "FROM scratch\nADD " + url + " /x\n"},
			args: []string{"build", "--network=host", "--allow=network.host", "."}}
	}
	return []hostileCase{
		pull("registry body", server+"/text/x"), pull("registry errors", server+"/json/x"), pull("registry media type", server+"/type/x"),
		{name: "registry status", files: map[string]string{"Dockerfile": "FROM " + status + "/a/x\n"}, quiet: true},
		add("URL body", "http://"+server+"/file?EVIL"), add("URL status", "http://"+status+"/EVIL"), add("git", "http://"+server+"/EVIL.git"),
		add("git status", "http://"+status+"/EVIL.git"),
		{name: "Dockerfile name", args: []string{"build", "-f", arg, "."}},
		{name: "context name", args: []string{"build", arg}},
		{name: "context tar", args: []string{"build", "-"}, stdin: hostileTarName + arg},
		{name: "target", args: []string{"build", "--target", arg, "."}},
		{name: "tag", args: []string{"build", "-t", arg, "."}},
		{name: "output", args: []string{"build", "-o", "type=tar,EVIL" + arg, "."}},
		{name: "output type", args: []string{"build", "-o", "type=" + arg, "."}},
		{name: "platform", args: []string{"build", "--platform", arg + "/" + arg, "."}, files: map[string]string{"Dockerfile": "FROM " + server + "/x\n"}},
		{name: "secret", args: []string{"build", "--secret", "id=a,src=" + arg, "."}},
		{name: "build context", args: []string{"build", "--build-context", "a=" + arg, "."}, files: map[string]string{"Dockerfile": "FROM scratch\nCOPY --from=a / /\n"}},
		{name: "cache", args: []string{"build", "--cache-from", arg, "."}},
		{name: "flag", args: []string{"build", "--" + arg, "."}},
		{name: "flag's value", args: []string{"build", "--progress", arg, "."}},
		{name: "number", args: []string{"run", "--memory", arg, "x"}},
		{name: "command", args: []string{arg}},
		{name: "command below", args: []string{"cache", arg}, quiet: true},
		{name: "help", args: []string{"help", arg}},
		{name: "image", args: []string{"run", "--pull=never", arg}},
		{name: "layout", args: []string{"run", "oci:" + arg}},
		{name: "env file", args: []string{"run", "--env-file", "env", "oci:none"}, files: map[string]string{"env": strings.ToValidUTF8("A B"+hostile+"=x", "")}, quiet: true},
		{name: "container", args: []string{"logs", arg}},
		{name: "stop", args: []string{"stop", arg}},
		{name: "exec", args: []string{"exec", arg, "true"}},
		{name: "rmi", args: []string{"rmi", arg}},
		{name: "push", args: []string{"push", arg, arg}},
		{name: "volume", args: []string{"volume", "inspect", arg}},
		{name: "cache rm", args: []string{"cache", "rm", arg}},
		{name: "format", args: []string{"images", "--format", "{{ EVIL " + arg}},
		{name: "state directory", args: []string{"images", "--root", "/proc/" + arg}},
		{name: "progress variable", args: []string{"build", "--build-arg-file", arg, "."}},
		{name: "ignore file", files: map[string]string{"Dockerfile": "FROM scratch\nCOPY x /\n", ".dockerignore": "[EVIL" + hostile}},
		{name: "ignore pattern", files: map[string]string{"Dockerfile": "FROM scratch\nCOPY x /\n", ".dockerignore": "x" + "\n!EVIL[" + inLine}},
		{name: "file name", files: map[string]string{arg + "x": "", "Dockerfile": "FROM scratch\nCOPY *x /y\n"}, quiet: true},
		{name: "docker config", env: []string{"DOCKER_CONFIG=."}, files: map[string]string{"config.json": `{"credHelpers":{"` + server + `":"EVIL` + quoted + `"}}`,
			"Dockerfile": "FROM " + server + "/text/x\n"}},
	}
}

const hostileTarName = "EVIL"

func tarCases(t *testing.T, base string) []hostileCase {
	add := func(name string, h tar.Header) hostileCase {
		return hostileCase{name: name, files: map[string]string{"a.tar": hostileTar(t, h), "Dockerfile": "FROM " + base + "\nADD a.tar /\n"}}
	}
	name := strings.NewReplacer("=", "").Replace(strings.ToValidUTF8(hostile, ""))
	return []hostileCase{
		add("member", tar.Header{Name: "bin/sh/" + name, Mode: 0o644, Typeflag: tar.TypeReg}),
		add("member outside", tar.Header{Name: "../" + name, Mode: 0o644, Typeflag: tar.TypeLink, Linkname: "../x"}),
		add("hard link", tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: name}),
	}
}

// TestHostileText has strangers' text in every place that can bring it to a terminal or a log, and looks for what such
// readers act on.
func TestHostileText(t *testing.T) {
	_, root := shellImage(t)
	shell, err := testimage.Shell()
	if err != nil {
		t.Skip(err)
	}
	registry := testimage.NewRegistry()
	t.Cleanup(registry.Close)
	if err := putBases(registry, shell); err != nil {
		t.Fatal(err)
	}
	ref := registry.Host() + "/base/shell:1"
	server, status := hostileServer(t), statusServer(t)
	cases := append(append(dockerfileCases(ref), commandCases(server, status)...), tarCases(t, ref)...)
	for _, c := range cases {
		for _, progress := range []string{"plain", "tty"} {
			t.Run(c.name+"/"+progress, func(t *testing.T) {
				out := runHostile(t, root, c, progress)
				if found := mischief(out); found != "" {
					t.Errorf("%s\nin %q", found, out)
				}
				if !c.quiet && !bytes.Contains(bytes.ToUpper(out), []byte("EVIL")) {
					t.Errorf("shows nothing of it: %q", out)
				}
			})
		}
	}
}

func runHostile(t *testing.T, root string, c hostileCase, progress string) []byte {
	dir := t.TempDir()
	for name, text := range map[string]string{"Dockerfile": "FROM scratch\n", "x": hostile} {
		if _, given := c.files[name]; !given {
			writeHostile(t, dir, name, text)
		}
	}
	for name, text := range c.files {
		writeHostile(t, dir, name, text)
	}
	args := c.args
	if args == nil {
		args = []string{"build", "."}
	}
	if args[0] == "build" && !strings.Contains(strings.Join(args, " "), "--progress") {
		args = append([]string{"build", "--progress=" + progress}, args[1:]...)
	}
	cmd := gbuildCommand(t, root, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(c.stdin)
	cmd.Env = append(append(cmd.Env, "HOME="+dir), c.env...)
	out, _ := cmd.CombinedOutput() // whether it fails is for other tests
	if progress == "tty" {
		out = drawing.ReplaceAll(out, nil)
	}
	return out
}

// drawing is what the display itself tells a terminal.
var drawing = regexp.MustCompile(`\x1b\[[0-9]+A\r|\x1b\[J`)

func writeHostile(t *testing.T, dir, name, text string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
