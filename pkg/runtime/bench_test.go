package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// BenchmarkSandbox is the cost of one RUN of a command that does nothing, by its network.
func BenchmarkSandbox(b *testing.B) {
	for _, network := range []string{"none", "host", "private"} {
		b.Run(network, func(b *testing.B) {
			root, _ := busyboxRoot(b)
			for b.Loop() {
				s, out := shell(b, root, "")
				s.Args, s.Network = []string{"true"}, network
				if err := s.Run(context.Background()); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

// BenchmarkRunc is the same command by runc, to compare with.
func BenchmarkRunc(b *testing.B) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		b.Skip("runc is not installed")
	}
	root, _ := busyboxRoot(b)
	bundle := b.TempDir()
	spec := exec.Command(runc, "spec", "--bundle", bundle)
	must(b, spec.Run())
	raw, err := os.ReadFile(bundle + "/config.json")
	must(b, err)
	var config map[string]any
	must(b, json.Unmarshal(raw, &config))
	config["root"] = map[string]any{"path": root}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/bin/true"}, false
	raw, _ = json.Marshal(config)
	must(b, os.WriteFile(bundle+"/config.json", raw, 0o600))
	n := 0
	for b.Loop() {
		n++
		cmd := exec.Command(runc, "--rootless=true", "--root", bundle+"/state", "run", "--bundle", bundle, fmt.Sprint("bench", n))
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Skipf("runc does not run here: %v: %s", err, out)
		}
	}
}

// BenchmarkNetwork is the throughput of a download through a private network.
func BenchmarkNetwork(b *testing.B) {
	root, _ := busyboxRoot(b)
	own := ownAddress(b)
	const size = 256 << 20
	port := serve(b, own, func(w http.ResponseWriter, _ *http.Request) {
		buf := make([]byte, 1<<20)
		for range size >> 20 {
			_, _ = w.Write(buf)
		}
	})
	b.SetBytes(size)
	for b.Loop() {
		s, out := shell(b, root, fmt.Sprintf("wget -q -O /dev/null http://%s:%d/", own, port))
		s.Network = "private"
		if err := s.Run(context.Background()); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}
