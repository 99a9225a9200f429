package installer

import (
	"net/url"
	"testing"
)

func TestAptMirrored(t *testing.T) {
	sources := "deb http://deb.example/debian stable main\ndeb [signed-by=/k] https://deb.example/debian-security/ stable-security main\n" +
		"URIs: http://archive.example/ubuntu\ndeb https://vendor.example/compute/cuda/repos/debian12/x86_64/ /\n"
	want := "deb https://m.example/pub/debian stable main\ndeb [signed-by=/k] https://m.example/pub/debian-security/ stable-security main\n" +
		"URIs: https://m.example/pub/ubuntu\ndeb https://vendor.example/compute/cuda/repos/debian12/x86_64/ /\n"
	for _, mirror := range []string{"https://m.example/pub", "https://m.example/pub/", "https://m.example/pub/debian", "https://m.example/pub/ubuntu/"} {
		u, err := url.Parse(mirror)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(AptMirrored([]byte(sources), u)); got != want {
			t.Errorf("%s:\n%s", mirror, got)
		}
	}
}
