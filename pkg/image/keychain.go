// This file finds the credentials for a registry in the files of Docker and podman.

package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/gbuild/gbuild/internal/hint"
)

// authFile is what Docker's config.json and podman's auth.json have in common. Its keys are hosts, repositories, or the URLs that
// older versions of docker wrote.
type authFile struct {
	path        string
	Auths       map[string]authEntry `json:"auths"`
	CredsStore  string               `json:"credsStore"`
	CredHelpers map[string]string    `json:"credHelpers"`
}

// authEntry has the credentials for one key of auths; most files have only the field auth.
type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// badCredentials says that a credential file or helper could not be used. It never holds a secret.
func badCredentials(host string, err error, remedy string) error {
	return hint.Errorf(remedy, "credentials for %s: %v", host, err)
}

// keychain looks credentials up at each Resolve, because a helper's answer may expire during a long build.
type keychain struct{ files []string }

// Keychain finds credentials in configDir/config.json as Docker does, and then in the given files of podman's format
// (auth.json). Credential helpers are asked for the one host that is needed, and their answer goes to no other.
func Keychain(configDir string, authFiles ...string) authn.Keychain {
	return Logins(append([]string{filepath.Join(configDir, "config.json")}, authFiles...)...)
}

// Logins finds credentials in these files, of either format, and nowhere else.
func Logins(files ...string) authn.Keychain { return &keychain{files} }

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (k *keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	for _, path := range k.files {
		f, err := readAuthFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, badCredentials(target.RegistryStr(), err, "mend or remove "+path)
		}
		c, err := f.lookup(ctx, target)
		if err != nil || c != nil {
			return c, err
		}
	}
	return authn.Anonymous, nil
}

// readAuthFile reads a file of either format. Fields that it does not know are left alone.
func readAuthFile(path string) (*authFile, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	f := &authFile{path: path}
	if err := unmarshalConfig(src, f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// unmarshalConfig reads a file of settings as docker does: one that is empty holds none.
func unmarshalConfig(src []byte, to any) error {
	if len(bytes.TrimSpace(src)) == 0 {
		return nil
	}
	return json.Unmarshal(src, to)
}

// lookup prefers a helper for the host, then an entry of the file, then the general helper. A nil Authenticator means
// that the file knows nothing of the host.
func (f *authFile) lookup(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	host := target.RegistryStr()
	for key, helper := range f.CredHelpers {
		if hostOf(key) == hubAlias(host) {
			return f.fromHelper(ctx, helper, host)
		}
	}
	if c, err := f.fromEntry(target); c != nil || err != nil {
		return c, err
	}
	if f.CredsStore != "" {
		return f.fromHelper(ctx, f.CredsStore, host)
	}
	return nil, nil
}

// helperRemedy says what to do about a helper that is not there, or that gave no answer.
func helperRemedy(err error, helper, path string) string {
	if errors.Is(err, errNoHelper) {
		return fmt.Sprintf("install docker-credential-%s, or remove it from %s", helper, path)
	}
	return fmt.Sprintf("mend docker-credential-%s, or remove it from %s", helper, path)
}

// fromHelper asks a helper that the file names. A nil Authenticator means that the helper knows nothing of the host.
func (f *authFile) fromHelper(ctx context.Context, helper, host string) (authn.Authenticator, error) {
	c, err := askHelper(ctx, helper, host)
	if err != nil {
		return nil, badCredentials(host, err, helperRemedy(err, helper, f.path))
	}
	if c == nil {
		return nil, nil
	}
	c.source = fmt.Sprintf("docker-credential-%s (named in %s)", helper, f.path)
	return c, nil
}

// fromEntry takes the most specific entry: podman keeps some for a namespace or a repository.
func (f *authFile) fromEntry(target authn.Resource) (authn.Authenticator, error) {
	host := target.RegistryStr()
	for _, want := range namespaces(target.String(), host) {
		for key, e := range f.Auths {
			if entryKey(key) != want || e == (authEntry{}) {
				continue
			}
			config, err := e.config()
			if err != nil {
				return nil, badCredentials(host, fmt.Errorf("entry %q of %s: %w", key, f.path, err), "log in again")
			}
			return &credential{config, f.path}, nil
		}
	}
	return nil, nil
}

// namespaces lists host/a/b, host/a, host.
func namespaces(resource, host string) []string {
	rest := strings.TrimPrefix(resource, host)
	host = hubAlias(host)
	var all []string
	for rest != "" {
		all = append(all, host+rest)
		rest = rest[:strings.LastIndex(rest, "/")]
	}
	return append(all, host)
}

// config decodes the entry. Docker writes user:password as base64 in auth.
func (e authEntry) config() (authn.AuthConfig, error) {
	c := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	plain, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return c, errors.New("its auth is not base64")
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
	if !ok {
		return c, errors.New("its auth is not user:password")
	}
	c.Username, c.Password = user, password
	return c, nil
}

// entryKey brings a key of auths to host or host/namespace. Docker's older keys are URLs with a version path.
func entryKey(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		return hostOf(rest)
	}
	host, rest, ok := strings.Cut(key, "/")
	if !ok || rest == "" || rest == "v1/" || rest == "v2/" || rest == "v1" || rest == "v2" {
		return hubAlias(host)
	}
	return hubAlias(host) + "/" + rest
}
