package image

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// certificate makes one that signs itself, for a name and a time.
func certificate(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: until, DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func tlsHost(t *testing.T, config *tls.Config, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.TLS, s.Config.ErrorLog = config, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

// listener takes connections and does something with each.
func listener(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

func closedPort(t *testing.T) string {
	s := httptest.NewServer(nil)
	s.Close()
	return strings.TrimPrefix(s.URL, "http://")
}

// absences are registries that are not there, with and without a login; presences are there, or it is this machine that is wrong.
func absences(t *testing.T) map[string]string {
	all := map[string]string{
		"refused": closedPort(t), "no such host": "registry.invalid",
		"hangs": listener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "hangs up": listener(t, func(c net.Conn) { c.Close() }),
	}
	for _, code := range []int{429, 500, 502, 503, 504, 408} {
		all[fmt.Sprint(code)] = strings.TrimPrefix(newServer(t, status(code)), "http://")
	}
	return all
}

func newServer(t *testing.T, answer http.HandlerFunc) string {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func presences(t *testing.T) map[string]string {
	year := time.Now().AddDate(1, 0, 0)
	all := map[string]string{
		"unknown CA":     tlsHost(t, nil, status(200)),
		"expired":        tlsHost(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", time.Unix(99, 0))}}, status(200)),
		"wrong name":     tlsHost(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "example.com", year)}}, status(200)),
		"wants our cert": tlsHost(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, status(200)),
		"old TLS":        tlsHost(t, &tls.Config{MaxVersion: tls.VersionTLS10}, status(200)),
	}
	for _, code := range []int{400, 401, 402, 403, 404, 405, 406, 410, 418, 422, 451} {
		all[fmt.Sprint(code)] = strings.TrimPrefix(newServer(t, status(code)), "http://")
	}
	return all
}

// Only a registry that is not there is absent.
func TestIsAbsence(t *testing.T) {
	for _, want := range []bool{true, false} {
		places := absences(t)
		if !want {
			places = presences(t)
		}
		for name, host := range places {
			for _, login := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, login %t", name, login), func(t *testing.T) {
					t.Parallel()
					o := quick()
					if login {
						o.Keychain = Keychain(configDir(t, nil, host))
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					_, err := Digest(ctx, mustRef(t, host+"/a:1"), o)
					if err == nil || IsAbsence(err) != want {
						t.Errorf("absent: %t, of %v", !want, err)
					}
				})
			}
		}
	}
}

// What is wrong on this machine is no absence, though nobody was asked.
func TestOurOwnFaultsAreNoAbsence(t *testing.T) {
	gone := closedPort(t)
	broken := configDir(t, nil)
	if err := os.WriteFile(broken+"/config.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	for name, dir := range map[string]string{
		"no helper":     configDir(t, map[string]any{"credHelpers": map[string]string{gone: "missing"}}),
		"no store":      configDir(t, map[string]any{"credsStore": "missing"}),
		"broken config": broken,
	} {
		o := quick()
		o.Keychain = Keychain(dir)
		_, err := Digest(context.Background(), mustRef(t, gone+"/a:1"), o)
		var hinted interface{ Hint() string }
		if err == nil || IsAbsence(err) || !errors.As(err, &hinted) || hinted.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, err := range []error{nil, context.Canceled, hint.Errorf(noRemedy, "its manifest is no image"), &DigestError{}, &wire.TrustError{}, &NotFoundError{}, fmt.Errorf("opening: %w", &UnauthorizedError{})} {
		if IsAbsence(err) {
			t.Errorf("%v is no absence", err)
		}
	}
	for _, no := range []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ECONNREFUSED, syscall.ETIMEDOUT} {
		if err := fmt.Errorf("asking: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", no)}); !IsAbsence(err) {
			t.Errorf("%v is absence", err)
		}
	}
}

// A proxy that has no way is one thing, a proxy that wants a login another.
func TestAbsenceBehindProxies(t *testing.T) {
	for code, want := range map[int]bool{502: true, 503: true, 504: true, 403: false, 407: false} {
		at, _ := url.Parse(newServer(t, status(code)))
		o := quick()
		o.proxy = func(*http.Request) (*url.URL, error) { return at, nil }
		if _, err := Digest(context.Background(), mustRef(t, "registry.invalid/a:1"), o); IsAbsence(err) != want {
			t.Errorf("%d: absent: %t, of %v", code, !want, err)
		}
	}
}

// A mirror that is set up wrongly is told of when the hub is out of reach; one that is gone, or lacks the image, is not.
func TestAbsenceOfMirrors(t *testing.T) {
	for mirror, want := range map[string]bool{
		closedPort(t): true,
		strings.TrimPrefix(newServer(t, status(404)), "http://"): true,
		strings.TrimPrefix(newServer(t, status(503)), "http://"): true,
		strings.TrimPrefix(newServer(t, status(403)), "http://"): false,
		tlsHost(t, nil, status(200)):                             false,
	} {
		away, _ := url.Parse("http://" + closedPort(t))
		o := quick()
		o.Mirrors = hubMirrors(mirror)
		o.proxy = func(r *http.Request) (*url.URL, error) { // the hub is behind a proxy that is gone
			if strings.Contains(r.URL.Host, "docker") {
				return away, nil
			}
			return nil, nil
		}
		if _, err := Digest(context.Background(), mustRef(t, "app:1"), o); IsAbsence(err) != want {
			t.Errorf("absent: %t, of %v", !want, err)
		}
	}
}
