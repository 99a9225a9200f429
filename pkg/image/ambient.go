// This file finds credentials that no file has: what a CI system or a cloud gives a job by its variables, and the helpers of clouds
// that are installed.

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// ambient is a keychain that goes on where another one ends.
type ambient struct {
	first  authn.Keychain
	ask    []string
	lookup func(name string) (string, bool)
}

// Ambient asks a keychain first, and for what that does not have each of the named sources: env, google, ecr, acr, gitlab. lookup
// reads the environment. Without sources it is the keychain itself.
func Ambient(first authn.Keychain, ask []string, lookup func(string) (string, bool)) authn.Keychain {
	if len(ask) == 0 {
		return first
	}
	return &ambient{first, ask, lookup}
}

// Resolve implements authn.Keychain.
func (a *ambient) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return a.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (a *ambient) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	found, err := authn.Resolve(ctx, a.first, target)
	if err != nil || found != authn.Anonymous {
		return found, err
	}
	for _, source := range a.ask {
		c, err := ambientSources[source](ctx, a, target)
		if err != nil {
			return nil, badCredentials(target.RegistryStr(), err, "mend that, or log in by config.json")
		}
		if c != nil {
			return c, nil
		}
	}
	return authn.Anonymous, nil
}

// get is the value of a variable, or empty.
func (a *ambient) get(name string) string {
	value, _ := a.lookup(name)
	return value
}

// ambientSources look credentials up; nil without an error means that there are none.
var ambientSources = map[string]func(context.Context, *ambient, authn.Resource) (*credential, error){
	"env": fromVariables, "google": fromGoogle, "ecr": fromCloud("ecr"), "acr": fromCloud("acr"), "gitlab": fromGitLab,
}

// cloud is a registry of a cloud, whose logins are made for an hour by a helper.
type cloud struct {
	source string
	hosts  []string // patterns of path.Match
	helper []string // names that the helper goes by; the first is that to install
	needs  string   // what the helper takes
}

var clouds = []cloud{
	{"ecr", []string{"*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "*.dkr.ecr-fips.*.amazonaws.com", "public.ecr.aws"}, []string{"ecr-login"},
		"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials or the role of the machine"},
	{"google", []string{"gcr.io", "*.gcr.io", "*.pkg.dev"}, []string{"gcr", "gcloud"},
		"GOOGLE_APPLICATION_CREDENTIALS or the service account of the machine"},
	{"acr", []string{"*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"}, []string{"acr-env", "acr"},
		"AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID, or the identity of the machine"},
}

// cloudOf is the cloud that a registry is one of; nil for other registries.
func cloudOf(host string) *cloud {
	for i, c := range clouds {
		for _, pattern := range c.hosts {
			if ok, err := path.Match(pattern, host); err == nil && ok {
				return &clouds[i]
			}
		}
	}
	return nil
}

// CloudHelper names the credential helper for a registry of a cloud, and what that takes; empty for other registries.
func CloudHelper(host string) (helper, needs string) {
	c := cloudOf(host)
	if c == nil {
		return "", ""
	}
	return c.helper[0], c.needs
}

// fromCloud asks the helper of a cloud, where it is installed.
func fromCloud(source string) func(context.Context, *ambient, authn.Resource) (*credential, error) {
	return func(ctx context.Context, _ *ambient, target authn.Resource) (*credential, error) {
		of := cloudOf(target.RegistryStr())
		if of == nil || of.source != source {
			return nil, nil
		}
		for _, helper := range of.helper {
			c, err := askHelper(ctx, helper, target.RegistryStr())
			if errors.Is(err, errNoHelper) {
				continue
			}
			if c != nil {
				c.source = "docker-credential-" + helper
			}
			return c, err
		}
		return nil, nil
	}
}

// fromGoogle takes the key of a service account as a password, which Google's registries accept, and else asks the helper.
func fromGoogle(ctx context.Context, a *ambient, target authn.Resource) (*credential, error) {
	of := cloudOf(target.RegistryStr())
	if of == nil || of.source != "google" {
		return nil, nil
	}
	if file := a.get("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
		key, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err)
		}
		var kind struct{ Type string }
		if err := json.Unmarshal(key, &kind); err != nil {
			return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %s is no JSON", file)
		}
		if kind.Type == "service_account" {
			return &credential{authn.AuthConfig{Username: "_json_key", Password: string(key)}, "GOOGLE_APPLICATION_CREDENTIALS"}, nil
		}
	}
	return fromCloud("google")(ctx, a, target)
}

// fromVariables reads DOCKER_AUTH_CONFIG, which has the text of a config.json, and KANIKO_HOST_USER with KANIKO_HOST_PASSWORD, in
// which the host, or a domain that it is in, is written in capitals with _ for what is neither letter nor digit.
func fromVariables(ctx context.Context, a *ambient, target authn.Resource) (*credential, error) {
	if text := a.get("DOCKER_AUTH_CONFIG"); text != "" {
		f := &authFile{path: "DOCKER_AUTH_CONFIG"}
		if err := unmarshalConfig([]byte(text), f); err != nil {
			return nil, errors.New("DOCKER_AUTH_CONFIG is no JSON")
		}
		auth, err := f.lookup(ctx, target)
		if c, ok := auth.(*credential); ok && c != nil || err != nil {
			return c, err
		}
	}
	host := strings.ToUpper(strings.ReplaceAll(target.RegistryStr(), "-", "_"))
	for domain := host; domain != ""; {
		name := "KANIKO_" + strings.ReplaceAll(domain, ".", "_")
		user, ok := a.lookup(name + "_USER")
		password, has := a.lookup(name + "_PASSWORD")
		if ok && has {
			return &credential{authn.AuthConfig{Username: user, Password: password}, name + "_USER"}, nil
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return nil, nil
}

// fromGitLab reads what GitLab gives a job for its own registry and for its proxy of Docker Hub.
func fromGitLab(_ context.Context, a *ambient, target authn.Resource) (*credential, error) {
	for _, names := range [][3]string{
		{"CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"},
		{"CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY_USER", "CI_DEPENDENCY_PROXY_PASSWORD"},
	} {
		if strings.TrimSuffix(a.get(names[0]), ":443") == target.RegistryStr() && a.get(names[2]) != "" {
			return &credential{authn.AuthConfig{Username: a.get(names[1]), Password: a.get(names[2])}, names[1]}, nil
		}
	}
	return nil, nil
}
