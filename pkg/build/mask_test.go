package build

import (
	"bytes"
	"net/url"
	"slices"
	"testing"

	"github.com/gbuild/gbuild/pkg/installer"
)

func TestMask(t *testing.T) {
	text := "before hunter2 hunt hunter hunter2hunter2 after hunter"
	for size := 1; size < len(text); size++ {
		var out bytes.Buffer
		m := &mask{secrets: [][]byte{[]byte("hunter2")}, out: func(p []byte) { out.Write(p) }}
		for i := 0; i < len(text); i += size {
			m.Write([]byte(text[i:min(i+size, len(text))]))
		}
		m.flush()
		if want := "before **** hunt hunter ******** after hunter"; out.String() != want {
			t.Fatalf("in pieces of %d: %q", size, out.String())
		}
	}
}

func TestPasswords(t *testing.T) {
	mirror, _ := url.Parse("https://u:m%40irror@index.example/simple")
	proxies := []string{"HTTP_PROXY=http://user:p%3Ass@proxy:3128", "https_proxy=user:plain@proxy", "ALL_PROXY=socks5://u:a@b@proxy/", "NO_PROXY=a,b@c", "FTP_PROXY=http://u@p"}
	var got []string
	for _, p := range passwords(map[installer.Tool]*url.URL{installer.Pip: mirror}, proxies) {
		got = append(got, string(p))
	}
	if want := []string{"m%40irror", "m@irror", "p%3Ass", "p:ss", "plain", "a@b"}; !slices.Equal(got, want) {
		t.Errorf("passwords %q, want %q", got, want)
	}
}
