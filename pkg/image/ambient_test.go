package image

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Credentials that no file has come from variables and from helpers, and go to the registries that they are for.
func TestAmbient(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := file("key.json", `{"type":"service_account","private_key":"k"}`, 0o600)
	file("docker-credential-ecr-login", "#!/bin/sh\nread host\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"AWS\",\"Secret\":\"made\"}'\n", 0o755)
	file("docker-credential-acr-env", "#!/bin/sh\nexit 1\n", 0o755)
	file("config.json", `{"auths":{"known.example":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("me:file"))+`"}}}`, 0o600)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	all := []string{"env", "google", "ecr", "acr", "gitlab"}
	gitlab := "CI_REGISTRY=registry.gitlab.example:5050 CI_REGISTRY_USER=ci CI_REGISTRY_PASSWORD=job " +
		"CI_DEPENDENCY_PROXY_SERVER=gitlab.example:443 CI_DEPENDENCY_PROXY_USER=ci CI_DEPENDENCY_PROXY_PASSWORD=proxy"
	auth := "DOCKER_AUTH_CONFIG=" + `{"auths":{"env.example":{"username":"me","password":"env"},"known.example":{"username":"no","password":"no"}}}`
	for _, c := range []struct {
		host, environ string
		ask           []string
		want          string // USER:PASSWORD, empty for none, ! for an error
	}{
		{"known.example", auth, all, "me:file"},
		{"env.example", auth, all, "me:env"},
		{"env.example", auth, nil, ""},
		{"env.example", "DOCKER_AUTH_CONFIG={", all, "!"},
		{"my-host.env.example", "KANIKO_MY_HOST_ENV_EXAMPLE_USER=a KANIKO_MY_HOST_ENV_EXAMPLE_PASSWORD=b", all, "a:b"},
		{"my-host.env.example", "KANIKO_ENV_EXAMPLE_USER=a KANIKO_ENV_EXAMPLE_PASSWORD=b", all, "a:b"},
		{"my-host.env.example", "KANIKO_ENV_EXAMPLE_USER=a", all, ""},
		{"registry.gitlab.example:5050", gitlab, all, "ci:job"},
		{"gitlab.example", gitlab, all, "ci:proxy"},
		{"other.example", gitlab, all, ""},
		{"registry.gitlab.example:5050", gitlab, []string{"env"}, ""},
		{"europe-docker.pkg.dev", "GOOGLE_APPLICATION_CREDENTIALS=" + key, all, `_json_key:{"type":"service_account","private_key":"k"}`},
		{"other.example", "GOOGLE_APPLICATION_CREDENTIALS=" + key, all, ""},
		{"gcr.io", "GOOGLE_APPLICATION_CREDENTIALS=/nosuch", all, "!"},
		{"1234.dkr.ecr.eu-west-1.amazonaws.com", "", all, "AWS:made"},
		{"1234.dkr.ecr.eu-west-1.amazonaws.com", "", []string{"env", "google"}, ""},
		{"team.azurecr.io", "", all, "!"},
		{"evil-azurecr.io", "", all, ""},
	} {
		lookup := func(name string) (string, bool) {
			for _, v := range strings.Fields(c.environ) {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value, true
				}
			}
			return "", false
		}
		repo, err := name.NewRepository(c.host + "/a/b")
		if err != nil {
			t.Fatal(err)
		}
		got := "!"
		found, err := authn.Resolve(context.Background(), Ambient(Keychain(dir), c.ask, lookup), repo)
		if err == nil {
			a, err := found.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			if got = a.Username + ":" + a.Password; got == ":" {
				got = ""
			}
		}
		if got != c.want {
			t.Errorf("%s with %s: %q, want %q (%v)", c.host, c.environ, got, c.want, err)
		}
	}
}
