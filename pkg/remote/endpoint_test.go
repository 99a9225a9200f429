package remote

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEndpoint(t *testing.T) {
	for address, want := range map[string]string{
		"http://h/x": "h:80", "https://H.example/x": "h.example:443", "https://u:p@h:8443/x": "h:8443", "http://[::1]:8/": "[::1]:8",
		"ssh://git@h/x": "h:22", "ssh://git@h:2222/x": "h:2222", "git@h:x/y.git": "h:22", "git://h/x": "h:9418", "socks5://p": "p:1080",
	} {
		if got := endpoint(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	for args, want := range map[string]string{
		"me@h git-upload-pack": "h 22", "-o SendEnv=GIT_PROTOCOL -p 7 h x": "h 7", "-4 -o A=b u@v@h x": "h 22", "[::1] x": "::1 22",
	} {
		host, port := sshTarget(strings.Fields(args))
		if got := host + " " + port; got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}

// A pack that grows beyond the bound ends git.
func TestPacksAreBounded(t *testing.T) {
	dir := t.TempDir()
	packs := filepath.Join(dir, ".git/objects/pack")
	if err := os.MkdirAll(packs, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, stop := Bounds{Bytes: 1000, Stall: 10 * time.Millisecond}.watchPacks(t.Context(), dir)
	defer stop()
	if err := os.WriteFile(filepath.Join(packs, "tmp_pack_x"), make([]byte, 1001), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "sleep", "60")
	if err := cmd.Run(); err == nil {
		t.Error("the command ended by itself")
	}
	if _, ok := errors.AsType[*SizeError](context.Cause(ctx)); !ok {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
}
