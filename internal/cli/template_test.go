package cli

import (
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	v := struct {
		ID   string `json:"Id"`
		Args []string
		M    map[string]string
	}{"x<y", []string{"a", "b"}, map[string]string{"k": "v"}}
	for format, want := range map[string]string{
		"{{.ID}}": "x<y", "{{.Id}}": "x<y", "{{json .Args}}": `["a","b"]`, "json": `{"Id":"x<y","Args":["a","b"],"M":{"k":"v"}}`, `{{join .Args "-"}}`: "a-b",
		`{{index .M "k"}} {{.M.k}}`: "v v", "{{upper .ID}}{{lower .ID}}{{title .ID}}": "X<Yx<yX<y", "{{pad .ID 1 2}}|": " x<y  |", "{{truncate .ID 1}}": "x", `{{println "a"}}{{len (split "a,b" ",")}}`: "a\n2",
		"{{.Nope}}": "!", "{{": "!", "{{nope .}}": "!",
	} {
		var out strings.Builder
		if err := Format(&out, format, v); (err != nil) != (want == "!") || err == nil && out.String() != want+"\n" {
			t.Errorf("%s: %q, %v", format, out.String(), err)
		}
	}
}
