package build

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// What an address has today is what a RUN gets, even where the server said that yesterday's is good for a year: without
// the cache pip would have asked. What has not changed is not sent.
func (p *pythonBench) testWhatAnAddressHas(t *testing.T) {
	p.offerNative()
	var body []byte
	sent := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=31536000")
		w.Header().Set("ETag", fmt.Sprintf("\"%x\"", sha256.Sum256(body)))
		if r.Header.Get("If-None-Match") == w.Header().Get("ETag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	env := "FROM base\nENV PIP_TRUSTED_HOST=127.0.0.1\n"
	for i, version := range []string{"1.0", "1.0", "2.0"} {
		body = []byte("part0==" + version + "\n")
		p.run(fmt.Sprintf("%sRUN pip install --no-cache-dir -r %s/r.txt # %d\n", env, server.URL, i))
		if !strings.Contains(p.output(), "Successfully installed part0-"+version) {
			t.Errorf("build %d has not version %s: %s", i, version, p.output())
		}
	}
	if sent != 2 {
		t.Errorf("two texts were sent %d times", sent)
	}
	for i, seen := range []string{"1", "2"} {
		var err error
		if body, err = os.ReadFile(sdist(t, "native")); err != nil {
			t.Fatal(err)
		}
		p.file("requirements.txt", fmt.Sprintf("native @ %s/native-1.0.tar.gz\npart0==%s.0\n", server.URL, seen))
		p.run(env + "COPY requirements.txt /\nRUN pip install -r /requirements.txt\n")
		if !strings.Contains(p.output(), "Created wheel for native") {
			t.Errorf("build %d of what an address has: %s", i, p.output())
		}
	}
	p.wantBuilt(0)
}
