package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestRegistryHosts(t *testing.T) {
	got, err := registryHosts([]string{"m.example", "https://m.example:5000/", "http://127.0.0.1:5000", "localhost:1", "http://[::1]:2"})
	if want := []string{"m.example", "m.example:5000", "127.0.0.1:5000", "localhost:1", "[::1]:2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "http://m.example", "http://localhost.example", "http://127.evil.example:80", "ftp://m.example", "m.example/path", "me:pw@m.example"} {
		if _, err := registryHosts([]string{bad}); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
