package image

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestProxies(t *testing.T) {
	const socket, other = "unix:///var/run/docker.sock", "tcp://build.example:2376"
	all := map[string]string{"HTTP_PROXY": "http://h", "HTTPS_PROXY": "http://s", "FTP_PROXY": "http://f", "NO_PROXY": "a,b", "ALL_PROXY": "socks5://a"}
	const allText = `{"httpProxy":"http://h","httpsProxy":"http://s","ftpProxy":"http://f","noProxy":"a,b","allProxy":"socks5://a"}`
	for text, want := range map[string]map[string]string{
		``:                                nil,
		`{}`:                              nil,
		`{"proxies":null}`:                nil,
		`{"proxies":{"default":{}}}`:      nil,
		`{"proxies":{"default":{"x":1}}}`: nil,
		`{"proxies":{"` + other + `":{"httpProxy":"http://no"}}}`:                  nil,
		`{"proxies":{"default":` + allText + `}}`:                                  all,
		`{"proxies":{"` + socket + `":` + allText + `}}`:                           all,
		`{"proxies":{"` + socket + `":{"noProxy":"x"},"default":` + allText + `}}`: {"NO_PROXY": "x"},
		`{"proxies":{"` + other + `":{"noProxy":"x"},"default":` + allText + `}}`:  all,
	} {
		dir := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := Proxies(dir, socket); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{`, `{"proxies":1}`, `{"proxies":{"default":{"httpProxy":5}}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var ce *ConfigError
		if _, err := Proxies(dir, socket); !errors.As(err, &ce) || ce.Hint() == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}
