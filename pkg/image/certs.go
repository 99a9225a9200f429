// This file reads certs.d, a directory that Docker and the container tools have. It has one directory for each registry, named
// HOST[:PORT], with the CAs of that host (*.crt) and the certificates by which we log in there (*.cert with *.key).

package image

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/pkg/image/wire"
)

// certsFor reads what the directories have for a host, which is nil where they have nothing.
func certsFor(dirs []string, host string) (*tls.Config, error) {
	var c *tls.Config
	for _, dir := range dirs {
		for _, name := range certNames(host) {
			entries, err := os.ReadDir(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				continue
			}
			if err != nil {
				return nil, &ConfigError{filepath.Join(dir, name), err}
			}
			if c == nil {
				c = &tls.Config{}
			}
			for _, e := range entries {
				if err := addCert(c, filepath.Join(dir, name, e.Name())); err != nil {
					return nil, err
				}
			}
		}
	}
	return c, nil
}

// certNames are the names that a host may have there. Docker Hub has one for people and one that answers.
func certNames(host string) []string {
	names := []string{host}
	if name, ok := strings.CutSuffix(host, ":443"); ok {
		names = append(names, name)
	} else if wire.Hostname(host) == host {
		names = append(names, host+":443")
	}
	if alias := hubAlias(host); alias != host {
		names = append(names, alias)
	}
	return names
}

// addCert adds one file. A certificate without its key, or a key without its certificate, is a mistake.
func addCert(c *tls.Config, path string) error {
	base, ext := strings.TrimSuffix(path, filepath.Ext(path)), filepath.Ext(path)
	switch ext {
	case ".crt":
		return addCA(c, path)
	case ".cert":
		pair, err := tls.LoadX509KeyPair(path, base+".key")
		if err != nil {
			return &ConfigError{path, err}
		}
		c.Certificates = append(c.Certificates, pair)
	case ".key":
		if _, err := os.Stat(base + ".cert"); err != nil {
			return &ConfigError{path, err}
		}
	}
	return nil
}

// addCA adds to the CAs of this machine, which SSL_CERT_FILE and SSL_CERT_DIR name.
func addCA(c *tls.Config, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return &ConfigError{path, err}
	}
	if c.RootCAs == nil {
		if c.RootCAs, err = x509.SystemCertPool(); err != nil {
			return &ConfigError{path, err}
		}
	}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return &ConfigError{path, errors.New("it has no certificate in PEM form")}
	}
	return nil
}
