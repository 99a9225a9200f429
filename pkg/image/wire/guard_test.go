package wire

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuard(t *testing.T) {
	get := func(url string, secret bool) *http.Request {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		if secret {
			r.Header.Set("Authorization", "Basic x")
		}
		return r
	}
	tests := []struct {
		host     string
		insecure bool
		url      string
		secret   bool
		allowed  bool
	}{
		{"index.docker.io", false, "https://auth.docker.io/token", true, true},
		{"registry.example.com", false, "https://login.example.com/", true, true},
		{"registry.example.com", false, "https://example.org/", true, false},
		{"registry.example.com", false, "https://example.org/", false, true},
		{"a.co.uk", false, "https://b.co.uk/", true, false},
		{"192.0.2.1:5000", false, "https://192.0.2.1:5001/", true, true},
		{"192.0.2.1:5000", false, "https://192.0.2.2:5000/", true, false},
		{"192.168.0.1:5000", false, "http://192.168.0.1:5000/", false, false},
		{"192.168.0.1:5000", true, "http://192.168.0.1:5000/", false, true},
		{"registry.example.com", true, "http://example.org/", false, false},
		{"registry.example.com", false, "http://127.0.0.1/", false, false},
		{"localhost:5000", false, "http://localhost:5000/", true, true},
	}
	for _, tt := range tests {
		g := newGuard(tt.host, Options{Insecure: tt.insecure})
		reached := false
		g.strict = roundTrip(func(*http.Request) { reached = true })
		g.lax = g.strict
		_, err := g.RoundTrip(get(tt.url, tt.secret))
		var te *TrustError
		if reached != tt.allowed || tt.allowed == errors.As(err, &te) {
			t.Errorf("%s -> %s (secret %v, insecure %v): reached %v, %v", tt.host, tt.url, tt.secret, tt.insecure, reached, err)
		}
	}
}

type roundTrip func(*http.Request)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, errors.New("not sent")
}

func TestLocalAddressesAreFenced(t *testing.T) {
	for address, local := range map[string]bool{
		"127.0.0.1:80": true, "169.254.169.254:80": true, "[::1]:80": true, "[fe80::1]:80": true, "0.0.0.0:80": true,
		"[::ffff:127.0.0.1]:80": true, "10.0.0.1:80": false, "192.0.2.1:443": false,
	} {
		if err := refuseLocal("tcp", address, nil); (err != nil) != local {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestANameOfThisMachineIsDialledOnLoopbackOnly(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "10.0.0.1:80": false, "169.254.169.254:80": false, "[2001:db8::1]:80": false} {
		if err := onlyLoopback("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestIsLoopback: only what is parsed as this machine's name or address is; a prefix of text is not.
func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "LocalHost:5000": true, "localhost.": true, "a.localhost": true, "a.b.localhost:5000": true,
		"127.0.0.1": true, "127.0.0.2:5000": true, "127.255.255.254": true, "[::1]": true, "[::1]:5000": true, "[::ffff:127.0.0.1]:5000": true,
		"localhost.example": false, "localhost.example:5000": false, "localhostess": false, "127.example": false, "127.0.0.1.example:5000": false,
		"xlocalhost": false, "128.0.0.1": false, "10.0.0.1:5000": false, "[::2]:5000": false, "[fe80::1]": false, "example.local": false, "": false,
		"127.1": false, "0x7f.0.0.1": false, "0.0.0.0": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}
