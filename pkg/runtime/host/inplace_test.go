package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheMarkerOfGbuildsImage(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "image")
	if _, _, missing := imagePaths(marker); missing == nil || !strings.Contains(missing.What, "own image") {
		t.Errorf("no marker: %v", missing)
	}
	for text, want := range map[string]string{
		"":                                       "own",
		"/busybox\n\n# a comment\n /kaniko/ ":    "own /busybox /kaniko",
		"/a\n-/etc/passwd\n-/etc/../etc/group\n": "own /a - /etc/passwd /etc/group",
		"busybox\n":                              "refused",
		"-/\n":                                   "refused",
		"/..\n":                                  "refused",
	} {
		if err := os.WriteFile(marker, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		own, aside, missing := imagePaths(marker)
		got := "refused"
		if missing == nil {
			own[0] = strings.Replace(own[0], filepath.Dir(marker), "own", 1)
			if got = strings.Join(own, " "); len(aside) > 0 {
				got += " - " + strings.Join(aside, " ")
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
