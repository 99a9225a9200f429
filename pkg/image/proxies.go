// This file reads the proxies that Docker's settings have for containers.

package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// proxySettings are those that Docker's config.json has for containers, for one daemon or for all.
type proxySettings struct {
	HTTP  string `json:"httpProxy"`
	HTTPS string `json:"httpsProxy"`
	FTP   string `json:"ftpProxy"`
	No    string `json:"noProxy"`
	All   string `json:"allProxy"`
}

// Proxies reads what configDir/config.json gives builds and containers of a Docker daemon as proxies: values by the upper-case names
// of variables. An entry for the daemon's address replaces the default whole, as Docker has it.
func Proxies(configDir, daemon string) (map[string]string, error) {
	path := filepath.Join(configDir, "config.json")
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	var f struct {
		Proxies map[string]proxySettings `json:"proxies"`
	}
	if err == nil {
		err = unmarshalConfig(src, &f)
	}
	if err != nil {
		return nil, &ConfigError{path, err}
	}
	s, ok := f.Proxies[daemon]
	if !ok {
		s = f.Proxies["default"]
	}
	given := map[string]string{}
	for name, value := range map[string]string{"HTTP_PROXY": s.HTTP, "HTTPS_PROXY": s.HTTPS, "FTP_PROXY": s.FTP, "NO_PROXY": s.No, "ALL_PROXY": s.All} {
		if value != "" {
			given[name] = value
		}
	}
	return given, nil
}
