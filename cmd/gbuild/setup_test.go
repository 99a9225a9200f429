package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApparmorProfile(t *testing.T) {
	if got := apparmorProfile(`/opt/a "b"*/gbuild`); !strings.Contains(got, `profile gbuild "/opt/a \"b\"\*/gbuild" flags=(unconfined) {`) || !strings.Contains(got, "\n  userns,\n") {
		t.Error(got)
	}
}

// The loader of profiles is a stand-in: it fails for a profile without the rule, and else says what it was given.
func TestInstallApparmorProfile(t *testing.T) {
	dir := t.TempDir()
	s := apparmorOf{enabled: filepath.Join(dir, "enabled"), file: filepath.Join(dir, "apparmor.d", "gbuild")}
	install := func(want string) {
		t.Helper()
		err := s.install(t.Context(), "/usr/bin/gbuild")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	install("AppArmor is not active here")
	if err := os.WriteFile(s.enabled, []byte("Y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		install("only root")
		return
	}
	t.Setenv("PATH", dir)
	install("apparmor_parser is not installed")
	loader := "#!/bin/sh\ntest \"$1\" = --replace && read -r line < \"$2\" && echo \"$2\" > " + dir + "/loaded\n"
	if err := os.WriteFile(filepath.Join(dir, "apparmor_parser"), []byte(loader), 0o755); err != nil {
		t.Fatal(err)
	}
	install("")
	if loaded, err := os.ReadFile(filepath.Join(dir, "loaded")); err != nil || strings.TrimSpace(string(loaded)) != s.file {
		t.Errorf("%q was loaded, %v", loaded, err)
	}
	if text, err := os.ReadFile(s.file); err != nil || string(text) != apparmorProfile("/usr/bin/gbuild") {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "apparmor_parser"), []byte("#!/bin/sh\necho no such rule >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	install("no such rule")
}
