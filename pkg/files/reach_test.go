package files

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gbuild/gbuild/internal/netguard"
	"github.com/gbuild/gbuild/pkg/remote"
)

// ownAddress is an IPv4 address of this machine that is not loopback: it stands for a server elsewhere.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// serveOn serves at an address of this machine.
func serveOn(t *testing.T, host string, h http.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// counter says yes, and counts how often.
func counter(n *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		fmt.Fprint(w, "reached")
	})
}

func redirectTo(to func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to()+r.URL.RequestURI(), http.StatusFound)
	})
}

// wantRefused checks that it was our guard that said no, with what opens it.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	var refused *netguard.Error
	if !errors.As(err, &refused) && (err == nil || !strings.Contains(err.Error(), "--allow network.host")) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAddReachesNoAddressOfThisMachine(t *testing.T) {
	b := newCopyBench(t)
	var hits atomic.Int32
	local := serveOn(t, "127.0.0.1", counter(&hits))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(local, "http://"))
	elsewhere := serveOn(t, ownAddress(t), redirectTo(func() string { return local }))
	spellings := []string{"localhost", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "127.9.9.9"}
	for _, address := range append([]string{local, elsewhere}, spellings...) {
		if !strings.Contains(address, "/") {
			address = "http://" + address + ":" + port
		}
		_, err := b.tryGuarded(remote.Fetcher{Fetched: remote.NewFetched()}, copyStep(address+"/f", "/f"))
		if err == nil {
			t.Errorf("%s was added", address)
		}
		if strings.Contains(address, local) || address == elsewhere || strings.Contains(address, "[::1]") {
			wantRefused(t, address, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("the server on loopback was asked %d times", hits.Load())
	}
	if _, err := b.tryGuarded(remote.Fetcher{LocalNetwork: true}, copyStep(elsewhere+"/f", "/f")); err != nil || hits.Load() == 0 {
		t.Errorf("with the host's network: %v", err)
	}
}

// A context that the user names reaches its own server, and no other one of this machine.
func TestContextReachesItselfAlone(t *testing.T) {
	var hits atomic.Int32
	other := serveOn(t, "127.0.0.1", counter(&hits))
	to := other
	first := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/Dockerfile" {
			fmt.Fprint(w, "FROM scratch")
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	open := func(spec string, o ContextOptions) error {
		o.StateDir = t.TempDir()
		c, err := OpenContext(t.Context(), spec, o)
		if err == nil {
			c.Close()
		}
		return err
	}
	wantRefused(t, "redirect to another port", open(first+"/moved", ContextOptions{}))
	wantRefused(t, "an address of a Dockerfile", open(first+"/Dockerfile", ContextOptions{FromDockerfile: true}))
	if hits.Load() != 0 {
		t.Error("the other server was asked")
	}
	if err := open(first+"/moved", ContextOptions{LocalNetwork: true}); err != nil {
		t.Error(err)
	}
	to = first + "/Dockerfile"
	for _, spec := range []string{first + "/Dockerfile", first + "/moved", strings.Replace(first, "127.0.0.1", "LOCALHOST", 1) + "/Dockerfile"} {
		if err := open(spec, ContextOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// gitOn serves a repository at a host's address, and counts the requests.
func gitOn(t *testing.T, dir, host string, n *atomic.Int32) string {
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	git := &cgi.Handler{Path: path, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	return serveOn(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		git.ServeHTTP(w, r)
	}))
}

func TestGitReachesNoAddressOfThisMachine(t *testing.T) {
	b := newCopyBench(t)
	dir := t.TempDir()
	b.shellIn(dir, makeRepository)
	var hits, far atomic.Int32
	local := gitOn(t, dir, "127.0.0.1", &hits)
	elsewhere := gitOn(t, dir, ownAddress(t), &far)
	redirect := serveOn(t, ownAddress(t), redirectTo(func() string { return local }))
	add := func(o remote.Fetcher, address string) error {
		o.Fetched = remote.NewFetched()
		_, err := b.tryGuarded(o, copyStep(address, "/x"))
		return err
	}
	for _, address := range []string{local, redirect, strings.Replace(local, "127.0.0.1", "localhost", 1), strings.Replace(local, "127.0.0.1", "127.1", 1)} {
		wantRefused(t, address, add(remote.Fetcher{}, address+"/repo.git"))
	}
	if err := add(remote.Fetcher{}, elsewhere+"/repo.git#v1"); err != nil || far.Load() == 0 {
		t.Errorf("a repository elsewhere: %v", err)
	}
	b.shellIn(dir, `cd w; printf '[submodule "s"]\n\tpath = s\n\turl = `+local+`/repo.git\n' >.gitmodules; export HOME=/nonexistent
		git update-index --add --cacheinfo 160000,$(git rev-parse v1^{commit}),s; git add .gitmodules; git commit -qm sub; git push -q ../repo.git main`)
	wantRefused(t, "submodule", add(remote.Fetcher{}, elsewhere+"/repo.git"))
	if hits.Load() != 0 {
		t.Errorf("the server on loopback was asked %d times", hits.Load())
	}
	if err := add(remote.Fetcher{LocalNetwork: true}, elsewhere+"/repo.git"); err != nil || hits.Load() == 0 {
		t.Errorf("submodule, with the host's network: %v", err)
	}
	c, err := OpenContext(t.Context(), local+"/repo.git", ContextOptions{StateDir: b.store.Dir()}) // with its submodule on the same server
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// git:// and ssh go the same way as http.
func TestGitProtocolsReachNoAddressOfThisMachine(t *testing.T) {
	daemon, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("git is not installed")
	}
	b := newCopyBench(t)
	dir, own := t.TempDir(), ownAddress(t)
	b.shellIn(dir, makeRepository)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(daemon)), "git-daemon"), "--base-path="+dir, "--export-all", "--reuseaddr", "--port="+port)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for range 100 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	bin, said := t.TempDir(), filepath.Join(t.TempDir(), "said")
	b.shellIn(bin, "printf '#!/bin/sh\\necho \"$@\" >>"+said+"\\nexit 1\\n' >ssh; chmod +x ssh")
	o := remote.Fetcher{Fetched: remote.NewFetched(), SSH: &remote.SSHGrant{}, Environ: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}}
	for _, address := range []string{"git://127.0.0.1:" + port, "git://localhost:" + port, "ssh://git@127.0.0.1:" + port, "ssh://git@localhost:" + port} {
		_, err := b.tryGuarded(o, copyStep(address+"/repo.git", "/x"))
		wantRefused(t, address, err)
	}
	if _, err := os.Stat(said); err == nil {
		t.Error("ssh was started")
	}
	if _, err := b.tryGuarded(o, copyStep("git://"+own+":"+port+"/repo.git", "/x")); err != nil {
		t.Error(err)
	}
	if _, err := b.tryGuarded(o, copyStep("ssh://me@"+own+":"+port+"/repo.git", "/x")); err == nil {
		t.Error("our ssh answers nothing")
	}
	text, _ := os.ReadFile(said)
	for _, want := range []string{"-o HostName=" + own, "-o HostKeyAlias=[" + own + "]:" + port, "-p " + port, "me@" + own, "git-upload-pack"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("ssh was called with %q, without %s", text, want)
		}
	}
	if c, err := OpenContext(t.Context(), "git://localhost:"+port+"/repo.git", ContextOptions{StateDir: b.store.Dir()}); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

// userProxy is a proxy as a user sets it: it forwards, connects, and wants a login.
func userProxy(t *testing.T, n *atomic.Int32) (environ []string) {
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	address := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if !strings.HasPrefix(r.Header.Get("Proxy-Authorization"), "Basic ") {
			w.Header().Set("Proxy-Authenticate", "Basic")
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			forward.ServeHTTP(w, r)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		in, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); out.Close(); in.Close() }()
		_, _ = io.Copy(in, out)
		in.Close()
		out.Close()
	}))
	address = strings.Replace(address, "http://", "http://me:sesame@", 1)
	return []string{"http_proxy=" + address, "https_proxy=" + address}
}

// What the user's proxies are for goes by them still, over http and https; addresses that are shut do not.
func TestProxiesOfTheUser(t *testing.T) {
	b := newCopyBench(t)
	dir, own := t.TempDir(), ownAddress(t)
	b.shellIn(dir, makeRepository)
	var n, hits atomic.Int32
	plain := gitOn(t, dir, own, &hits)
	secure := httptest.NewUnstartedServer(redirectTo(func() string { return plain }))
	secure.Listener.Close()
	var err error
	if secure.Listener, err = net.Listen("tcp", own+":0"); err != nil {
		t.Fatal(err)
	}
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o644); err != nil {
		t.Fatal(err)
	}
	environ := append(userProxy(t, &n), "GIT_SSL_CAINFO="+ca)
	for _, c := range []struct{ address, why string }{
		{plain + "/repo.git", ""}, {plain + "/repo.git/HEAD", ""}, {secure.URL + "/repo.git", "certificate"},
		{"http://169.254.169.254/x", "refusing"}, {"http://[::ffff:169.254.169.254]/x", "refusing"}, {"http://169.254.169.254/x.git", "refusing"},
		{"https://169.254.169.254/x.git", "refusing"}, {"http://127.0.0.1:9/x", "refusing"}, {"http://localhost:9/x.git", "refusing"},
	} {
		before := n.Load()
		_, err := b.tryGuarded(remote.Fetcher{Fetched: remote.NewFetched(), Environ: environ}, copyStep(c.address, "/x"))
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v", c.address, err)
		}
		if asked := n.Load() > before; asked != (c.why != "refusing") {
			t.Errorf("%s: the proxy was asked: %v (%v)", c.address, asked, err)
		}
	}
}
