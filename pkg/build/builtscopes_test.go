package build

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/runtime"
)

const sameStart = "FROM scratch\nRUN write /etc/x x\n"

// sights are Dockerfiles with a RUN of pip, and whether it finds what `pip install -r /requirements.txt` has built after
// sameStart and a COPY of requirements.txt: "same", "other", or "none" where nothing is to be found again.
var sights = map[string]string{
	sameStart + "COPY requirements.txt /\nRUN pip install -r /requirements.txt":                                                                             "same",
	sameStart + "COPY more-requirements.txt /\nRUN pip install -r /more-requirements.txt":                                                                   "same",
	sameStart + "COPY requirements.txt more-requirements.txt /\nRUN pip install -r /requirements.txt":                                                       "same",
	sameStart + "COPY requirements.txt /list.txt\nRUN pip install -r /list.txt":                                                                             "same",
	sameStart + "ADD requirements.txt /\nRUN pip install -r /requirements.txt":                                                                              "same",
	sameStart + "COPY <<E /requirements.txt\nb\nE\nRUN pip install -r /requirements.txt":                                                                    "same",
	sameStart + "WORKDIR /w\nCOPY requirements.txt /\nWORKDIR /\nRUN pip install -r /requirements.txt":                                                      "same",
	sameStart + "COPY requirements.txt uv.lock /\nRUN pip install -r /requirements.txt":                                                                     "same",
	sameStart + "COPY requirements.txt /\nENV PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore\nRUN pip install -r /requirements.txt":                       "same",
	sameStart + "COPY requirements.txt /\nENV A=1\nRUN pip install -r /requirements.txt":                                                                    "other",
	sameStart + "COPY requirements.txt /\nARG A=11\nRUN pip install -r /requirements.txt":                                                                   "other",
	sameStart + "COPY requirements.txt /\nUSER 7\nRUN pip install -r /requirements.txt":                                                                     "other",
	sameStart + "COPY requirements.txt /\nWORKDIR /w\nRUN pip install -r /requirements.txt":                                                                 "other",
	sameStart + "COPY requirements.txt /\nSHELL [\"/bin/bash\", \"-c\"]\nRUN pip install -r /requirements.txt":                                              "other",
	sameStart + "COPY requirements.txt /\nRUN --network=none pip install -r /requirements.txt":                                                              "other",
	sameStart + "COPY requirements.txt /\nRUN pip install -r /requirements.txt --global-option=a":                                                           "other",
	sameStart + "COPY requirements.txt /\nRUN pip install -r /requirements.txt --no-build-isolation":                                                        "other",
	sameStart + "COPY requirements.txt /\nRUN pip install -r /requirements.txt --no-binary=a":                                                               "other",
	sameStart + "COPY option-requirements.txt /\nRUN pip install -r /option-requirements.txt":                                                               "other",
	sameStart + "COPY requirements.txt /\nENV PIP_CONSTRAINT=/requirements.txt\nRUN pip install -r /requirements.txt":                                       "other",
	sameStart + "COPY requirements.txt /\nCOPY x.h /usr/include/\nRUN pip install -r /requirements.txt":                                                     "other",
	sameStart + "COPY x.h /usr/include/\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt":                                                     "other",
	sameStart + "COPY requirements.txt /usr/include/x.h\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt":                                     "other",
	sameStart + "COPY . /\nRUN pip install -r /requirements.txt":                                                                                            "other",
	sameStart + "COPY requirements.txt /\nRUN write /var/lib/dpkg/status libx 2\nRUN pip install -r /requirements.txt":                                      "other",
	sameStart + "COPY requirements.txt /\nRUN write /usr/lib/python3/dist-packages/setuptools-80.dist-info/RECORD x\nRUN pip install -r /requirements.txt":  "other",
	sameStart + "COPY requirements.txt /\nRUN --mount=type=secret,id=s,env=A pip install -r /requirements.txt":                                              "other",
	sameStart + "COPY requirements.txt /\nRUN --mount=target=/src pip install -r /requirements.txt":                                                         "other",
	sameStart + "COPY requirements.txt /\nRUN --mount=type=cache,target=/opt/lib pip install -r /requirements.txt":                                          "other",
	"FROM scratch\nRUN write /etc/x y\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt":                                                       "other",
	"FROM scratch AS a\nRUN write /etc/x x\nFROM a\nWORKDIR /q\nWORKDIR /\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt":                   "same",
	"FROM scratch AS a\nCOPY requirements.txt /\nFROM scratch\nRUN write /etc/x x\nCOPY --from=a /requirements.txt /\nRUN pip install -r /requirements.txt": "same",
	sameStart + "COPY requirements.txt /\nRUN pip install --no-cache-dir -r /requirements.txt":                                                              "none",
	sameStart + "COPY requirements.txt /\nENV PIP_NO_CACHE_DIR=off\nRUN pip install -r /requirements.txt":                                                   "none",
	sameStart + "COPY requirements.txt /\nARG PIP_NO_CACHE_DIR=1\nRUN pip install -r /requirements.txt":                                                     "none",
	sameStart + "COPY requirements.txt /\nRUN PIP_NO_CACHE_DIR=1 pip install -r /requirements.txt":                                                          "none",
	sameStart + "COPY requirements.txt /\nRUN export PIP_NO_CACHE_DIR=1; pip install -r /requirements.txt":                                                  "none",
}

func TestBuiltScopes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.file("requirements.txt", "a==1\n")
	b.file("more-requirements.txt", "a==2\nb==1 --hash=sha256:1\n")
	b.file("option-requirements.txt", "a==2 --config-settings=x\n")
	b.file("x.h", "")
	b.file("uv.lock", "")
	var seen string
	b.Exec = func(ctx context.Context, s *runtime.Sandbox) error {
		for _, m := range s.Mounts {
			if m.Target == "/dev/gbuild/pip/wheels" {
				seen = m.Source
				return os.WriteFile(m.Source+"/x.whl", nil, 0o644)
			}
		}
		return b.exec(ctx, s)
	}
	see := func(text string) string {
		seen = ""
		if _, err := b.try(text, func(r *Request) {
			r.AutoCache, r.NoLayers = []installer.Tool{installer.Pip}, true
			r.Secrets = map[string]Secret{"s": {Data: []byte("x")}}
		}); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return seen
	}
	b.file("requirements.txt", "a==0\n")
	first := see(sameStart + "COPY requirements.txt /\nRUN pip install -r /requirements.txt")
	b.file("requirements.txt", "a==1\nb\n")
	others := map[string]string{}
	for text, want := range sights {
		got := see(text)
		how := "other"
		switch {
		case got == first:
			how = "same"
		case strings.HasPrefix(got, b.Store.Dir()):
			how = "none"
		case others[got] != "":
			t.Errorf("these see one cache:\n%s\n%s", text, others[got])
		}
		others[got] = text
		if how != want || got == "" {
			t.Errorf("%s: %s, want %s (%s)", text, how, want, got)
		}
	}
}
