package dockerfile

import (
	"errors"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Dockerfile must not name files of this machine: what the image package takes for a file is a repository here.
func TestSchemesInFrom(t *testing.T) {
	for _, scheme := range []string{"oci", "oci-archive", "docker-archive"} {
		p, err := Parse("Dockerfile", []byte("FROM "+scheme+":tag\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if name := p.Target.Base.Name; !strings.HasSuffix(name, "/"+scheme+":tag") {
			t.Errorf("FROM %s:tag is %q", scheme, name)
		}
	}
}

func TestLongLine(t *testing.T) {
	src := "FROM alpine\nRUN true\nRUN echo " + strings.Repeat("x", 70_000) + "\n"
	_, err := Parse("Dockerfile", []byte(src), Options{})
	var e *Error
	if !errors.As(err, &e) || e.Start != 3 || !strings.Contains(e.Error(), "65535") {
		t.Errorf("got %v", err)
	}
}

// A stage can be resolved as often as one likes, and another base changes nothing but that stage.
func TestResolveTwice(t *testing.T) {
	src := "FROM base AS a\nARG X=1\nENV Y=$X$Z\nRUN --mount=type=cache,target=$Y true\nFROM a\nRUN echo\nEXPOSE $X\n"
	p, err := Parse("Dockerfile", []byte(src), Options{})
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(z string) (env, target string) {
		a, err := p.Stages[0].Resolve(&v1.ConfigFile{Config: v1.Config{Env: []string{"Z=" + z}}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Stages[1].Resolve(a.Config)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(b.Steps[0].(*Run).Env, " "), a.Steps[0].(*Run).Mounts[0].Target
	}
	resolve("first")
	env, target := resolve("second")
	if !strings.Contains(env, "Y=1second") || target != "/1second" {
		t.Errorf("second Resolve gives env %s and target %s", env, target)
	}
}

func TestStartIntervalOfBase(t *testing.T) {
	raw := `{"config":{"Healthcheck":{"Test":["CMD","x"],"StartInterval":5000000000}}}`
	if got := StartInterval([]byte(raw)); got != 5*time.Second {
		t.Errorf("got %v", got)
	}
	if got := StartInterval([]byte("no JSON")); got != 0 {
		t.Errorf("got %v", got)
	}
}

func TestSetEpoch(t *testing.T) {
	src := "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nENV E=$SOURCE_DATE_EPOCH\nWORKDIR /w\n"
	p, err := Parse("Dockerfile", []byte(src), Options{})
	if err != nil {
		t.Fatal(err)
	}
	seconds := int64(42)
	p.SetEpoch(&seconds)
	r, err := p.Target.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if at := r.Steps[0].(*Mkdir).Time; at == nil || at.Unix() != 42 {
		t.Errorf("the directory is of %v", at)
	}
	if env := strings.Join(r.Config.Config.Env, " "); !strings.Contains(env, "E=42") {
		t.Errorf("the environment is %s", env)
	}
}

func TestOutline(t *testing.T) {
	src := `ARG PREFIX=al
# BASE is what to build on
ARG BASE=${PREFIX}pine
ARG UNUSED=x
# tools compiles
FROM alpine AS tools
ARG JOBS=2
RUN --mount=type=secret,id=token,required true
# final is the result
FROM $BASE AS final
ARG MODE
RUN --mount=type=ssh --mount=type=secret,id=other true
COPY --from=tools /a /b
`
	p, err := Parse("Dockerfile", []byte(src), Options{Args: map[string]string{"MODE": "fast"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Stages {
		if _, err := s.Resolve(&v1.ConfigFile{}); err != nil {
			t.Fatal(err)
		}
	}
	o := p.Outline(p.Stages)
	var got []string
	for _, a := range o.Args {
		got = append(got, a.Name+"="+a.Value+" "+a.Description)
	}
	want := "PREFIX=al |BASE=alpine is what to build on|JOBS=2 |MODE=fast "
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("args\n got %s\nwant %s", text, want)
	}
	if o.Name != "final" || o.Description != "is the result" {
		t.Errorf("got %s: %s", o.Name, o.Description)
	}
	if len(o.Secrets) != 2 || o.Secrets[0].Name != "token" || !o.Secrets[0].Required || len(o.SSH) != 1 || o.SSH[0].Name != "default" {
		t.Errorf("secrets %v, sockets %v", o.Secrets, o.SSH)
	}
}
