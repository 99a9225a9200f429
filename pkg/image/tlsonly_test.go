package image

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// A registry on loopback is asked without TLS first. One that only speaks TLS, and resets what does not, is asked by TLS then.
func TestLoopbackThatSpeaksTLSOnly(t *testing.T) {
	inner := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	inner.Config.ErrorLog = log.New(io.Discard, "", 0)
	inner.StartTLS()
	t.Cleanup(inner.Close)
	address := listener(t, func(c net.Conn) { passTLS(c, strings.TrimPrefix(inner.URL, "https://")) })
	r, img := mustRef(t, address+"/a:1"), randomImage(t, 1000, 1)
	_, err := Write(context.Background(), r, img, quickWrite())
	var re *RegistryError
	if !errors.As(err, &re) || !strings.Contains(re.Hint(), "--insecure") {
		t.Errorf("Write without --insecure: %v", err)
	}
	o := quickWrite()
	o.Insecure = true
	write(t, r, img, o)
	p := quick()
	p.Insecure = true
	got, err := Open(context.Background(), r, p)
	if err == nil {
		err = validate.Image(got)
	}
	if err != nil {
		t.Error(err)
	}
}

// passTLS passes a connection on that begins as TLS does, and resets any other.
func passTLS(c net.Conn, to string) {
	defer c.Close()
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil || first[0] != 0x16 { // a handshake
		_ = c.(*net.TCPConn).SetLinger(0)
		return
	}
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	_, _ = d.Write(first)
	go func() { _, _ = io.Copy(d, c); _ = d.(*net.TCPConn).CloseWrite() }()
	_, _ = io.Copy(c, d)
}
