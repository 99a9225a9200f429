package dockerfile

import "testing"

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"ADD https://user:token@host/r.git#v1:dir /x":   "ADD https://xxxxx:xxxxx@host/r.git#v1:dir /x",
		"ADD https://token@host/r.git /x":               "ADD https://xxxxx@host/r.git /x",
		"ADD https://:token@host/r.git /x":              "ADD https://:xxxxx@host/r.git /x",
		"ADD https://token:@host/r.git /x":              "ADD https://xxxxx:@host/r.git /x",
		"ADD HTTPS://u:p%40ss@host:8443/r.git /x":       "ADD HTTPS://xxxxx:xxxxx@host:8443/r.git /x",
		"ADD https://u:p@ss@host/r.git":                 "ADD https://xxxxx:xxxxx@host/r.git",
		`ADD ["https://u:p@host/f", "https://v:q@h/g"]`: `ADD ["https://xxxxx:xxxxx@host/f", "https://xxxxx:xxxxx@h/g"]`,
		"RUN |1 U=http://u:p@host/r.git /bin/sh -c x":   "RUN |1 U=http://xxxxx:xxxxx@host/r.git /bin/sh -c x",
		"pip install git+https://tok@host/x":            "pip install git+https://xxxxx@host/x",
		"git clone ssh://git@host/r.git":                "git clone ssh://git@host/r.git",
		"git clone ssh://git:pw@host/r.git":             "git clone ssh://git:xxxxx@host/r.git",
		"git clone git@host:r.git":                      "git clone git@host:r.git",
		"curl https://$USER:$TOKEN@host/":               "curl https://$USER:$TOKEN@host/",
		"curl https://$USER:secret@host/":               "curl https://$USER:xxxxx@host/",
		"curl https://host/@scope/x https://h?m=a@b":    "curl https://host/@scope/x https://h?m=a@b",
		"https://a/b:c@d mail me@example.org":           "https://a/b:c@d mail me@example.org",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}
