package runtime

import (
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
)

func files(list map[string]string) func(string) (io.ReadCloser, error) {
	return func(path string) (io.ReadCloser, error) {
		text, ok := list[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func TestLookupUser(t *testing.T) {
	open := files(map[string]string{
		"/etc/passwd": "# accounts\nroot:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n\n" +
			"bob:x:1002:1002::/home/b:x:/bin/sh\n1005:x:0:0::/zero:/bin/sh\n0:x:77:77::/seven:/bin/sh\nnohome:x:1006:6:::\nbad:x:99999999999:1::/:\nbadgid:x:7:-1::/:\nshort:x:1007\n+nis::::::",
		"/etc/group": "root:x:0:root\nann:x:1001:\nwheel:x:10:root,ann\ndocker:x:999:bob,ann,ann\nusers:x:100:ann\n44:x:45:\nbroken:x:4294967296:bob\n",
	})
	for user, want := range map[string]string{
		"":                "0:0 [0 10] /root",
		"root":            "0:0 [0 10] /root",
		"0":               "0:0 [0 10] /root",
		"00":              "0:0 [0 10] /root",
		"ann":             "1000:1001 [1001 10 999 100] /home/ann",
		"1000":            "1000:1001 [1001 10 999 100] /home/ann",
		"ann:users":       "1000:100 [100] /home/ann",
		"ann:":            "1000:1001 [1001 10 999 100] /home/ann",
		":wheel":          "0:10 [10] /root",
		"1000:5":          "1000:5 [5] /home/ann",
		"4242":            "4242:0 [0] /",
		"4242:4343":       "4242:4343 [4343] /",
		"1005":            "1005:0 [0] /",
		"ann:44":          "1000:44 [44] /home/ann",
		"nohome":          "1006:6 [6] /",
		"2147483647":      "2147483647:0 [0] /",
		"2147483648":      "error",
		"4294967296":      "error",
		"1000:4294967296": "error",
		"-1":              "error",
		"+0":              "error",
		"0x0":             "error",
		"1e3":             "error",
		" 0":              "error",
		"nobody":          "error",
		"ann:nogroup":     "error",
		"ann:users:x":     "error",
		"bad":             "error",
		"badgid":          "error",
		"short":           "error",
		"bob":             "error",
	} {
		id, err := LookupUser(open, user)
		got := fmt.Sprintf("%d:%d %v %s", id.UID, id.GID, id.Groups, id.Home)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("user %q is %s (%v), want %s", user, got, err, want)
		}
	}
}

func TestLookupUserWithoutFiles(t *testing.T) {
	for user, want := range map[string]string{"": "0:0 [0] /", "7:8": "7:8 [8] /", "root": "error",
		"root:root": "0:0 [0] /", "root:5": "0:5 [5] /", "5:root": "5:0 [0] /", "ann:root": "error", ":root": "0:0 [0] /"} {
		id, err := LookupUser(files(nil), user)
		got := fmt.Sprintf("%d:%d %v %s", id.UID, id.GID, id.Groups, id.Home)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("user %q is %s (%v), want %s", user, got, err, want)
		}
	}
}

// SEC-08: a hostile file costs neither much memory nor time.
func TestLookupUserHuge(t *testing.T) {
	for name, text := range map[string]string{
		"too large":  strings.Repeat("x", maxAccounts+1),
		"many lines": strings.Repeat("a:b:c\n", maxAccounts/6),
		"long line":  strings.Repeat(":", maxAccounts-1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := LookupUser(files(map[string]string{"/etc/passwd": text}), "ann")
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Error(name, "was accepted")
		}
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 128<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, grown>>20)
		}
	}
}
