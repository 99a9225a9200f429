package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// What cannot be honoured is refused, what means nothing is accepted.
func TestRefuse(t *testing.T) {
	for _, test := range []struct {
		o       buildOptions
		refused string
	}{
		{buildOptions{}, ""},
		{buildOptions{provenance: "false", sbom: "false"}, ""},
		{buildOptions{provenance: "mode=max", attest: []string{"type=provenance,mode=min", "type=sbom,disabled=true"}}, ""},
		{buildOptions{provenance: "true"}, "--provenance"},
		{buildOptions{sbom: "generator=x"}, "--sbom"},
		{buildOptions{attest: []string{"type=sbom"}}, "type=sbom"},
		{buildOptions{attest: []string{"type=other"}}, "type=other"},
		{buildOptions{cacheTo: []string{"type=inline"}}, ""},
		{buildOptions{cgroup: "x"}, "--cgroup-parent"},
	} {
		err := test.o.refuse()
		if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%+v: %v", test.o, err)
		}
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
		_, err := parseOutputs(&buildOptions{outputs: strings.Fields(test.list)}, nil)
		if (err == nil) != (test.fail == "") || err != nil && !strings.Contains(err.Error(), test.fail) {
			t.Errorf("%s: %v", test.list, err)
		}
	}
}

func TestCompressionOf(t *testing.T) {
	for _, test := range []struct {
		o       buildOptions
		outputs string
		want    codec.Compression
		fail    string
	}{
		{buildOptions{}, "", codec.Compression{Algorithm: "gzip"}, ""},
		{buildOptions{compression: "zstd", compressionLevel: "9"}, "", codec.Compression{Algorithm: "zstd", Level: 9}, ""},
		{buildOptions{compression: "none"}, "type=oci", codec.Compression{Algorithm: "none"}, ""},
		{buildOptions{forceCompression: true}, "type=oci", codec.Compression{Algorithm: "gzip", Force: true}, ""},
		{buildOptions{compression: "zstd"}, "type=oci,compression=zstd", codec.Compression{Algorithm: "zstd"}, ""},
		{buildOptions{compression: "zstd"}, "type=oci,compression=gzip", codec.Compression{}, "one compression"},
		{buildOptions{compression: "zstd"}, "type=registry,name=r/x,oci-mediatypes=false", codec.Compression{}, "oci-mediatypes"},
		{buildOptions{compression: "estargz", compressionLevel: "0"}, "", codec.Compression{Algorithm: "estargz", Level: 1}, ""},
		{buildOptions{compression: "estargz", forceCompression: true}, "", codec.Compression{}, "--force-compression with"},
		{buildOptions{compression: "rar"}, "", codec.Compression{}, "--compression=rar"},
		{buildOptions{compressionLevel: "x"}, "", codec.Compression{}, "--compression-level=x"},
	} {
		test.o.outputs = strings.Fields(test.outputs)
		outputs, err := parseOutputs(&test.o, nil)
		if err == nil {
			var c codec.Compression
			if c, err = compressionOf(&test.o, outputs); c != test.want {
				t.Errorf("%+v: %+v", test.o, c)
			}
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
	a := testApp(map[string]string{"FROM_ENV": "env", "HOME": dir, "DOCKER_CONFIG": dir})
	args, err := a.buildArgs(&buildOptions{argFiles: []string{file}, args: []string{"A=2"}, epoch: "7"}, os.ReadFile)
	if err != nil || len(args) != 4 || args["A"] != "2" || args["B"] != "x=y" || args["FROM_ENV"] != "env" || args["SOURCE_DATE_EPOCH"] != "7" {
		t.Errorf("%v, %v", args, err)
	}
}

// The agent of --ssh default=KEY has the key, and gives nobody power over it.
func TestServeKeys(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "test")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, stop, err := serveKeys([]string{file}, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	client := agent.NewClient(c)
	keys, err := client.List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	if _, err := client.Sign(keys[0], []byte("data")); err != nil {
		t.Error(err)
	}
	if client.RemoveAll() == nil {
		t.Error("the keys can be removed")
	}
	c.Close()
	stop()
	if _, err := os.Stat(filepath.Dir(socket)); !os.IsNotExist(err) {
		t.Errorf("the directory of the socket is left: %v", err)
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
	if err := os.WriteFile(key, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	a := testApp(map[string]string{"SSH_AUTH_SOCK": socket})
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
		agents, stop, err := a.sshAgents(strings.Split(flags, " "), os.ReadFile)
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
