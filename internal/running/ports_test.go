package running

import (
	"fmt"
	"testing"
)

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]string{
		"80":                  "[0.0.0.0:0->80/tcp]",
		"8080:80":             "[0.0.0.0:8080->80/tcp]",
		"127.0.0.1:53:53/udp": "[127.0.0.1:53->53/udp]",
		"127.0.0.1::80":       "[127.0.0.1:0->80/tcp]",
		"[::1]:8080:80":       "[[::1]:8080->80/tcp]",
		"9000-9001:8000-8001": "[0.0.0.0:9000->8000/tcp 0.0.0.0:9001->8001/tcp]",
		"9000-9002:8000-8001": "the ranges differ in length",
		"0":                   "invalid port: 0",
		"a:80":                "invalid port: a",
		"80/sctp":             "invalid proto: sctp",
		"localhost:8080:80":   "invalid IP address: localhost",
		"70000:80":            "invalid port: 70000",
	} {
		list, err := parsePorts(text)
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
