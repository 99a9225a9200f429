// This file owns a package index on loopback, as pip asks one.

package testimage

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
)

// Index serves wheels as a PEP 503 simple index below /simple/, with the caching headers that the public one sends: files
// never change, and pages are asked for again by ETag. It keeps a log of what was asked.
type Index struct {
	mu    sync.Mutex
	files map[string]offer             // The keys are names of files.
	pages map[string]map[string]string // A project has names of files, and these have digests.
	log   []Access
	// Out receives the log as lines as well, where it is set.
	Out io.Writer
}

// offer is a wheel in memory, or in a file.
type offer struct {
	data []byte
	path string
	sum  string // This is the SHA-256 in hex.
}

// Access is one request that an Index answered.
type Access struct {
	Status int
	Path   string
	Bytes  int
}

// String is the access as a line of a log.
func (a Access) String() string { return fmt.Sprintf("%d %s %d", a.Status, a.Path, a.Bytes) }

// NewIndex returns an Index of wheels.
func NewIndex(wheels ...Wheel) (*Index, error) {
	x := &Index{files: map[string]offer{}, pages: map[string]map[string]string{}}
	for _, w := range wheels {
		if err := x.Add(w); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// Add offers one more wheel.
func (x *Index) Add(w Wheel) error {
	data, err := w.Bytes()
	if err != nil {
		return err
	}
	x.offer(w.Name, w.Filename(), offer{data: data, sum: fmt.Sprintf("%x", sha256.Sum256(data))})
	return nil
}

// AddFile offers the wheel in a file, which is read whenever it is asked for.
func (x *Index) AddFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("reading wheel %s: %w", path, err)
	}
	project, _, _ := strings.Cut(filepath.Base(path), "-")
	x.offer(project, filepath.Base(path), offer{path: path, sum: fmt.Sprintf("%x", sum.Sum(nil))})
	return nil
}

// offer puts a wheel on the page of its project.
func (x *Index) offer(name, file string, o offer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	project := normalise(name)
	if x.pages[project] == nil {
		x.pages[project] = map[string]string{}
	}
	x.pages[project][file], x.files[file] = o.sum, o
}

// Log returns what was asked since the last call.
func (x *Index) Log() []Access {
	x.mu.Lock()
	defer x.mu.Unlock()
	log := x.log
	x.log = nil
	return log
}

// Wheels returns the names of the wheels in log that were sent.
func Wheels(log []Access) []string {
	var names []string
	for _, a := range log {
		if name, ok := strings.CutPrefix(a.Path, "/files/"); ok && a.Status == http.StatusOK {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// ServeHTTP answers a request of pip.
func (x *Index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	switch name, isFile := strings.CutPrefix(r.URL.Path, "/files/"); {
	case isFile:
		x.serveFile(recorder, r, name)
	case strings.HasPrefix(r.URL.Path, "/simple/"):
		x.servePage(recorder, r, strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/"))
	default:
		http.NotFound(recorder, r)
	}
	x.record(Access{recorder.status, r.URL.Path, recorder.bytes})
}

// record notes an answer in the log.
func (x *Index) record(a Access) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.log = append(x.log, a)
	if x.Out != nil {
		fmt.Fprintln(x.Out, a)
	}
}

// serveFile answers with a wheel, which never changes.
func (x *Index) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	x.mu.Lock()
	o, ok := x.files[name]
	x.mu.Unlock()
	var data io.ReadSeeker = bytes.NewReader(o.data)
	if o.path != "" {
		f, err := os.Open(o.path)
		ok = err == nil
		defer f.Close()
		data = f
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	serve(w, r, name, "max-age=365000000, immutable, public", "binary/octet-stream", o.sum, data)
}

// servePage answers with the page of a project, or the list of all, which a client asks for again after ten minutes.
func (x *Index) servePage(w http.ResponseWriter, r *http.Request, project string) {
	x.mu.Lock()
	var page bytes.Buffer
	page.WriteString("<!DOCTYPE html><html><body>\n")
	if project == "" {
		for name := range x.pages {
			fmt.Fprintf(&page, "<a href=\"/simple/%s/\">%s</a>\n", name, name)
		}
	}
	files, ok := x.pages[project]
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(&page, "<a href=\"/files/%s#sha256=%s\">%s</a><br>\n", html.EscapeString(name), files[name], html.EscapeString(name))
	}
	page.WriteString("</body></html>\n")
	x.mu.Unlock()
	if !ok && project != "" {
		http.NotFound(w, r)
		return
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(page.Bytes()))
	serve(w, r, "index.html", "max-age=600, public", "text/html", sum, bytes.NewReader(page.Bytes()))
}

// serve sends data with an ETag; a client that has it already gets 304.
func serve(w http.ResponseWriter, r *http.Request, name, caching, kind, sum string, data io.ReadSeeker) {
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", fmt.Sprintf("%q", sum[:16]))
	http.ServeContent(w, r, name, Time, data)
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalise spells a project name as PEP 503 wants it in URLs.
func normalise(name string) string {
	return separators.ReplaceAllString(strings.ToLower(name), "-")
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status, bytes int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += n
	return n, err
}
