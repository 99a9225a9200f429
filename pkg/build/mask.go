// This file owns passwords that must not be seen in the output of a RUN.

package build

import (
	"bytes"
	"net/url"
	"strings"
	"sync"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/installer"
)

// mirrorEnv is what leads pip and uv in a RUN to the mirrors of the command line. As with proxies it is for the process
// only: neither the key nor the history of a step knows it.
func mirrorEnv(mirrors map[installer.Tool]*url.URL, s *dockerfile.Run) (env []string) {
	if u := mirrors[installer.Pip]; u != nil {
		env = append(env, installer.PipMirror(u, s.Getenv("PIP_TRUSTED_HOST"))...)
	}
	if u := mirrors[installer.Uv]; u != nil {
		env = append(env, installer.UvMirror(u)...)
	}
	return env
}

// passwords are what must not be seen of the mirrors and proxies: as they are written, and as they are meant.
func passwords(mirrors map[installer.Tool]*url.URL, proxies []string) (all [][]byte) {
	var written []string
	for _, u := range mirrors {
		written = append(written, passwordIn(u.String()))
	}
	for _, variable := range proxies {
		_, value, _ := strings.Cut(variable, "=")
		written = append(written, passwordIn(value))
	}
	for _, raw := range written {
		if raw == "" {
			continue
		}
		all = append(all, []byte(raw))
		if meant, err := url.PathUnescape(raw); err == nil && meant != raw {
			all = append(all, []byte(meant))
		}
	}
	return all
}

// passwordIn finds the password of an address, also of one that is no URL: a proxy's may lack the scheme, or have characters that do
// not belong there.
func passwordIn(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	at := strings.LastIndex(address, "@")
	if at < 0 {
		return ""
	}
	_, password, _ := strings.Cut(address[:at], ":")
	return password
}

// mask keeps passwords out of the output of a RUN, also where they come in pieces.
type mask struct {
	secrets [][]byte
	mu      sync.Mutex
	held    []byte // bytes that may be the start of a secret, and wait for the next piece
	out     func([]byte)
}

// Write implements io.Writer: it passes on what cannot be the start of a secret, with secrets covered.
func (m *mask) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data := append(m.held, p...)
	for _, s := range m.secrets {
		data = bytes.ReplaceAll(data, s, []byte("****"))
	}
	keep := 0
	for _, s := range m.secrets {
		for n := min(len(s)-1, len(data)); n > keep; n-- {
			if bytes.HasSuffix(data, s[:n]) {
				keep = n
			}
		}
	}
	m.held = bytes.Clone(data[len(data)-keep:])
	m.emit(data[:len(data)-keep])
	return len(p), nil
}

// flush passes on what is left at the end.
func (m *mask) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.emit(m.held)
	m.held = nil
}

func (m *mask) emit(p []byte) {
	if len(p) > 0 {
		m.out(bytes.Clone(p))
	}
}
