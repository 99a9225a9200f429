package building

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/output"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// What cannot be honoured is refused, what means nothing is accepted.
func TestRefuse(t *testing.T) {
	for _, test := range []struct {
		o       Docker
		refused string
	}{
		{Docker{}, ""},
		{Docker{Provenance: "false", SBOM: "false"}, ""},
		{Docker{Provenance: "mode=max", Attest: []string{"type=provenance,mode=min", "type=sbom,disabled=true"}}, ""},
		{Docker{Provenance: "true"}, "--provenance"},
		{Docker{SBOM: "generator=x"}, "--sbom"},
		{Docker{Attest: []string{"type=sbom"}}, "type=sbom"},
		{Docker{Attest: []string{"type=other"}}, "type=other"},
		{Docker{CgroupParent: "x"}, "--cgroup-parent"},
	} {
		err := test.o.refuse()
		if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%+v: %v", test.o, err)
		}
	}
}

// Docker's cache inside of an image has no effect, and is no reason to fail.
func TestInlineCacheIsAccepted(t *testing.T) {
	if p, err := parseCachePlace("--cache-to", "type=inline", "dest"); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

func TestParseOutputs(t *testing.T) {
	for _, test := range []struct {
		list string
		fail string
	}{
		{"dir", ""}, {"-", ""}, {"- type=oci", "only one"}, {"type=oci,dest=a type=local,dest=b type=tar,dest=c", ""},
		{"type=oci,dest=a,compression=zstd,compression-level=22,force-compression=true,annotation.a=b,rewrite-timestamp=true", ""},
		{"type=oci,dest=a,compression=zstd type=docker,dest=b,compression=gzip", "one compression"},
		{"type=oci,dest=a,compression=estargz", ""}, {"type=oci,dest=a,compression=estargz,force-compression=true", "estargz"}, {"type=oci,compression-level=10", "0 to 9"},
		{"type=registry,name=r/x,compression=zstd,oci-mediatypes=false", "oci-mediatypes"},
		{"type=oci,force-compression=maybe", "true or false"}, {"type=oci,dest=a,force-compression=1 type=docker,dest=b,compression=gzip", "one compression"},
		{"type=oci,annotation-index.a=b", "index"}, {"type=oci,annotation-manifest[linux/amd64].a=b", ""},
		{"type=registry", "no name"}, {"type=image,push=true", "no name"}, {"type=image,push=1,name=r/x", ""},
		{"type=local", "dest=DIR"}, {"type=tar,dest=a,platform-split=true", ""}, {"type=local,dest=a,mode=delete", ""},
		{"type=local,dest=a,mode=move", "copy or delete"}, {"type=local,dest=.,mode=delete", "working"}, {"type=local,dest=/,mode=delete", "working"},
		{"type=image,name=r/x,push=true,push-by-digest=true,name-canonical=true", ""}, {"type=foo", "unknown type"}, {"type=local,dest=a,name=b", "unknown option"},
	} {
		f := Outputs{Layers: "auto", Outputs: strings.Fields(test.list)}
		_, err := f.parse()
		if (err == nil) != (test.fail == "") || err != nil && !strings.Contains(err.Error(), test.fail) {
			t.Errorf("%s: %v", test.list, err)
		}
	}
}

func TestCompressionOf(t *testing.T) {
	for _, test := range []struct {
		o       Outputs
		outputs string
		want    codec.Compression
		fail    string
	}{
		{Outputs{}, "", codec.Compression{Algorithm: "gzip"}, ""},
		{Outputs{Compression: output.Compression{Algorithm: "zstd", Level: "9"}}, "", codec.Compression{Algorithm: "zstd", Level: 9}, ""},
		{Outputs{Compression: output.Compression{Algorithm: "none"}}, "type=oci", codec.Compression{Algorithm: "none"}, ""},
		{Outputs{Compression: output.Compression{Force: true}}, "type=oci", codec.Compression{Algorithm: "gzip", Force: true}, ""},
		{Outputs{Compression: output.Compression{Algorithm: "zstd"}}, "type=oci,compression=zstd", codec.Compression{Algorithm: "zstd"}, ""},
		{Outputs{Compression: output.Compression{Algorithm: "zstd"}}, "type=oci,compression=gzip", codec.Compression{}, "one compression"},
		{Outputs{Compression: output.Compression{Algorithm: "zstd"}}, "type=registry,name=r/x,oci-mediatypes=false", codec.Compression{}, "oci-mediatypes"},
		{Outputs{Compression: output.Compression{Algorithm: "estargz", Level: "0"}}, "", codec.Compression{Algorithm: "estargz", Level: 1}, ""},
		{Outputs{Compression: output.Compression{Algorithm: "estargz", Force: true}}, "", codec.Compression{}, "--force-compression with"},
		{Outputs{Compression: output.Compression{Algorithm: "rar"}}, "", codec.Compression{}, "--compression=rar"},
		{Outputs{Compression: output.Compression{Level: "x"}}, "", codec.Compression{}, "--compression-level=x"},
	} {
		test.o.Layers, test.o.Outputs = "auto", strings.Fields(test.outputs)
		o, err := test.o.parse()
		if err == nil && o.compression != test.want {
			t.Errorf("%+v: %+v", test.o, o.compression)
		}
		if (err == nil) != (test.fail == "") || err != nil && !strings.Contains(err.Error(), test.fail) {
			t.Errorf("%+v: %v", test.o, err)
		}
	}
}

func TestBuildArgFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "args")
	if err := os.WriteFile(file, []byte("# comment\n\nA=1\nB=x=y\nFROM_ENV\nUNSET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := environment(map[string]string{"FROM_ENV": "env", "HOME": dir, "DOCKER_CONFIG": dir})
	f := Source{ArgFiles: []string{file}, Args: []string{"A=2"}, Epoch: "7"}
	args, err := f.buildArgs(environ, os.ReadFile)
	if err != nil || len(args) != 4 || args["A"] != "2" || args["B"] != "x=y" || args["FROM_ENV"] != "env" || args["SOURCE_DATE_EPOCH"] != "7" {
		t.Errorf("%v, %v", args, err)
	}
}

// What --ssh may say, as BuildKit's own client reads it.
func TestSSHFlags(t *testing.T) {
	dir := t.TempDir()
	socket, key, no := filepath.Join(dir, "agent"), filepath.Join(dir, "key"), filepath.Join(dir, "no")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(key, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := environment(map[string]string{"SSH_AUTH_SOCK": socket})
	for flags, want := range map[string]string{
		"default":                             "default false",
		"":                                    "default false",
		"x=":                                  "x false",
		"x=" + socket:                         "x false",
		"x=" + socket + ",raw=true":           "x true",
		"x=raw=1," + socket:                   "x true",
		"x=" + socket + ",raw=false":          "x false",
		"x=" + socket + ",raw=yes":            "it is true or false",
		"x=" + socket + ",raw=true," + socket: "raw=true needs the socket",
		"x=raw=true":                          "raw=true needs the socket",
		"x=" + key + ",raw=true":              "the socket of one agent",
		"x=" + socket + "," + socket:          "the socket of one agent",
		"x=" + key + "," + socket:             "the socket of one agent",
		"x=" + key:                            "is larger than",
		"x=" + no:                             "no ssh agent listens",
		"default default":                     "given twice",
		"default =" + socket:                  "given twice",
	} {
		agents, stop, err := sshAgents(strings.Split(flags, " "), environ, os.ReadFile)
		got := fmt.Sprint(err)
		if err == nil {
			for id, s := range agents {
				got = fmt.Sprint(id, " ", s.Raw)
			}
			stop()
		}
		if !strings.Contains(got, want) {
			t.Errorf("--ssh %s: %s", flags, got)
		}
	}
}

// environment is one with these variables.
func environment(vars map[string]string) cli.Environment {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}
