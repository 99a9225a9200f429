package image

import (
	"io"
	"net/http"
	"net/url"
	"runtime"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say how a place is reached. The zero value is anonymous, with TLS, for the platform of this machine.
type Options struct {
	Platform  *v1.Platform                          // nil is linux on this machine's architecture
	Insecure  bool                                  // plain http, or certificates that nobody vouches for, at the registry itself
	Keychain  authn.Keychain                        // nil is anonymous
	Mirrors   []string                              // hosts that are asked before Docker Hub, in this order
	Certs     []string                              // directories as Docker's certs.d, with CAs and client certificates by host
	UserAgent string                                // empty is gbuild
	Report    func(done, total int64)               // bytes moved; called from many goroutines, one at a time
	Proxy     func(*http.Request) (*url.URL, error) // nil is http.ProxyFromEnvironment

	Connections *Connections // shared with other calls; nil: none are kept

	patience patience
}

// WriteOptions say how an image is written.
type WriteOptions struct {
	Options
	Tags   []string  // further names of the image in a layout or an archive: full references
	Output io.Writer // where an archive whose path is Stdout goes
	Jobs   int       // blobs uploaded at a time; 0 is 4

	// KeepTypes leaves Docker's media types to an image in an OCI layout, where many readers do not look for them.
	KeepTypes bool

	// Ahead has sent layers of the image, which was made just now, to the repository: it is not asked for them again. May be nil.
	Ahead *Ahead
	// Manifest returns the manifest with a digest where this machine has it, else nil. The repository has the layers of the
	// one that the reference stood for until now, so it is not asked for them either. May be nil.
	Manifest func(v1.Hash) []byte
}

func (o Options) platform() v1.Platform {
	if o.Platform != nil {
		return *o.Platform
	}
	return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
}

func (o WriteOptions) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return 4
}

// meter adds up what moves, for Options.Report.
type meter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
}

// add counts bytes moved; more bytes expected. Both may be negative, when a transfer starts over.
func (m *meter) add(done, total int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += done
	m.total += total
	if m.report != nil {
		m.report(m.done, m.total)
	}
}

// tell changes who is told.
func (m *meter) tell(report func(done, total int64)) {
	m.mu.Lock()
	m.report = report
	m.mu.Unlock()
	m.add(0, 0)
}

// metered counts the bytes of one transfer, and takes them back when it has to start over.
type metered struct {
	io.ReadCloser
	m     *meter
	n     int64
	grows bool // the total is not known before the end
}

// Read implements io.Reader.
func (r *metered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n += int64(n)
	r.count(int64(n))
	return n, err
}

func (r *metered) count(n int64) {
	if r.grows {
		r.m.add(n, n)
	} else {
		r.m.add(n, 0)
	}
}

func (r *metered) undo() { r.count(-r.n) }
