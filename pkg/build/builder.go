package build

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/remote"
	"github.com/gbuild/gbuild/pkg/runtime"
	"github.com/gbuild/gbuild/pkg/runtime/network"
)

// Builder has what all builds of a process share.
type Builder struct {
	Store   *layers.Store
	Caches  *pipcache.Caches
	Jobs    int         // steps that run at once; 0: 2
	Report  func(Event) // called from several goroutines, one at a time
	Entered bool        // this process is uid 0 of its own user and mount namespace

	// Fetch finds an image by reference for a platform; image.Open in main, a map in tests.
	Fetch func(ctx context.Context, ref string, p v1.Platform) (v1.Image, error)
	// Exec runs one sandbox; (*runtime.Sandbox).Run in main, a func in tests.
	Exec func(ctx context.Context, s *runtime.Sandbox) error
	// Inject finds devices of RUN --device and Limits.Devices, for a process with that environment; nil where there are
	// none. It must leave nothing of them in a layer.
	Inject func(ctx context.Context, names, env []string) ([]runtime.Edits, error)

	mu      sync.Mutex   // serialises Report
	numbers atomic.Int64 // of lines of work, of all builds
}

// Limits are the options of a build that every RUN gets.
type Limits struct {
	ShmSize int64               // bytes of /dev/shm; 0: 64 MiB
	Ulimits []string            // NAME=SOFT[:HARD]
	Hosts   []runtime.HostEntry // --add-host
	Network string              // what "" of a RUN means, as in a Sandbox
	Devices []string            // CDI names and nodes of the host that the command line gives; as names they are part of keys
}

func (l Limits) hostNames() []string { // addresses are no part of a key, as in BuildKit
	names := make([]string, len(l.Hosts))
	for i, h := range l.Hosts {
		names[i] = h.Name
	}
	return names
}

// Secret is the value of a --secret or, for type ssh, the path of an agent's socket.
type Secret struct {
	Data   []byte
	Socket string
	Raw    bool // what a RUN says to the agent reaches it as it is, not the requests for keys and signatures only
}

// Request is one build.
type Request struct {
	Plan     *dockerfile.Plan
	Context  *files.Context                                                 // nil: an empty context
	Named    func(ctx context.Context, name string) (*files.Context, error) // opens a named context
	Secrets  map[string]Secret                                              // by id
	Agents   map[string]Secret                                              // ssh agents by id
	NoCache  bool                                                           // run every step; cache mounts stay
	Fresh    map[string]bool                                                // names of stages whose steps run again (--no-cache-filter)
	Limits   Limits
	Allow    map[string]bool // entitlements: network.host, security.insecure
	Compress codec.Compression
	Layering Layering
	Environ  []string // of which git takes proxies and the ssh agent

	MaxDownload int64 // bytes of a file or repository that ADD fetches; 0: 100 GB
	NoLayers    bool  // the caller wants no image: nothing is compressed
	Files       bool  // the caller reads the files of the result

	AutoCache []dockerfile.Tool            // that get a cache in each RUN that has none of its own
	Mirrors   map[dockerfile.Tool]*url.URL // for pip, uv and apt in RUN; no part of a key, and their passwords of no log
	PipDir    string                       // pip's cache for them; empty: one of Caches

	// Scope is whose the caches of this build are: cache mounts, those that nobody asked for, and the results of steps that
	// saw one. Nobody else's are used, but that those of ScopesBelow are read where Scope has nothing of its own.
	Scope       string
	ScopesBelow []string

	NoCacheMounts bool // empty the cache mounts of the steps that run

	Explain bool   // report why each step runs or does not
	Place   string // names the Dockerfile and the context for Explain, from build to build

	CacheFrom []*SharedCache // asked, in this order, for the steps that are not stored here
	CacheTo   []*SharedCache // get the steps of this build
}

// Result is what a build made.
type Result struct {
	Image  v1.Image // nil with Request.NoLayers
	Key    layers.Key
	Config *v1.ConfigFile
	Steps  int // executed, not taken from the store
}

// run is the state of one Build.
type run struct {
	*Builder
	req      *Request
	plan     *dockerfile.Plan
	slots    *semaphore.Weighted
	executed atomic.Int64
	started  time.Time
	cancel   context.CancelCauseFunc
	outer    context.Context // the caller's: what the result refers to lives as long
	scratch  *scratch
	networks network.Pool
	remotes  *remote.Fetched
	target   *stage

	exporting exporting

	mu       sync.Mutex
	warnings []dockerfile.Warning
	resolved map[*dockerfile.Stage]*stage
	futures  map[any]*future
	images   map[string]*base
	contexts map[string]*files.Context
	imports  map[layers.Key]*imported
	origins  map[layers.Key]origin
	made     map[layers.Key][]v1.Layer // by layersOf
	guessed  map[*stage]func() (layers.Key, error)

	caches     layers.Key // names those that the build reads: see recipes.go
	identities map[layers.Key]identity
}

// Build executes the plan and returns the image of its target. Steps of several stages run side by side. The error is a
// *dockerfile.Error where a line is to blame, with the cause inside.
func (b *Builder) Build(ctx context.Context, req *Request) (*Result, error) {
	r := b.newRun(ctx, req)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	defer r.close()
	target, err := r.resolve(ctx, r.plan.Target)
	if err != nil {
		return nil, err
	}
	r.target = target
	r.warn(r.plan.Warnings)
	if err := r.plan.CheckError(r.warnings); err != nil {
		return nil, err
	}
	if err := r.checkNamespace(target); err != nil {
		return nil, err
	}
	target.markExported()
	key, err := r.stageKey(ctx, target)
	if err == nil && req.Files {
		err = r.ensure(ctx, key)
	}
	if err != nil {
		cancel(err)
		r.wait()
		return nil, r.firstError(ctx, err)
	}
	result := &Result{Key: key, Config: target.config, Steps: int(r.executed.Load())}
	if req.NoLayers {
		return result, r.wait()
	}
	result.Image, err = r.assemble(ctx, target, key)
	r.wait()
	return result, err
}

func (b *Builder) newRun(ctx context.Context, req *Request) *run {
	jobs := b.Jobs
	if jobs <= 0 {
		jobs = 2
	}
	return &run{Builder: b, outer: ctx, req: req, plan: req.Plan, slots: semaphore.NewWeighted(int64(jobs)), started: time.Now(),
		scratch: &scratch{store: b.Store}, remotes: remote.NewFetched(), resolved: map[*dockerfile.Stage]*stage{}, futures: map[any]*future{},
		images: map[string]*base{}, contexts: map[string]*files.Context{}, imports: map[layers.Key]*imported{}, origins: map[layers.Key]origin{},
		made:    map[layers.Key][]v1.Layer{},
		guessed: map[*stage]func() (layers.Key, error){}, caches: foreignTo(req.CacheFrom), identities: map[layers.Key]identity{}}
}

// firstError prefers the failure that cancelled the rest to the cancellation that it caused elsewhere.
func (r *run) firstError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

func (r *run) close() {
	r.scratch.close()
	r.networks.Close()
	for _, c := range r.contexts {
		c.Close()
	}
}

func (r *run) report(e Event) {
	if r.Report == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r.Builder.mu.Lock()
	defer r.Builder.mu.Unlock()
	r.Report(e)
}

func (r *run) warn(ws []dockerfile.Warning) {
	r.warnings = append(r.warnings, ws...)
	for i := range ws {
		r.report(Event{Type: Warned, Warning: &ws[i]})
	}
}

// blame makes err an error of the step's line.
func (r *run) blame(m *dockerfile.Meta, err error) error {
	var known *dockerfile.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, ErrNeedsNamespace) || errors.Is(err, context.Canceled) {
		return err
	}
	return &dockerfile.Error{File: r.plan.Name, Source: r.plan.Source, Location: m.Location, Cause: err}
}

// future is a result that several goroutines wait for and one computes.
type future struct {
	done chan struct{}
	key  layers.Key
	err  error
}

// once runs f in a goroutine of its own, once for each name, and returns its future.
func (r *run) once(name any, f func() (layers.Key, error)) *future {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.futures[name]; known != nil {
		return known
	}
	fu := &future{done: make(chan struct{})}
	r.futures[name] = fu
	go func() {
		defer close(fu.done)
		fu.key, fu.err = f()
		if fu.err != nil {
			r.cancel(fu.err)
		}
	}()
	return fu
}

func (f *future) get(ctx context.Context) (layers.Key, error) {
	select {
	case <-f.done:
		return f.key, f.err
	case <-ctx.Done():
		return layers.Key{}, context.Cause(ctx)
	}
}

// wait returns when everything that was started has ended, with the first error.
func (r *run) wait() (err error) {
	for n := -1; n != 0; {
		r.mu.Lock()
		var open []*future
		for _, f := range r.futures {
			select {
			case <-f.done:
				if err == nil {
					err = f.err
				}
			default:
				open = append(open, f)
			}
		}
		r.mu.Unlock()
		for _, f := range open {
			<-f.done
		}
		n = len(open)
	}
	return err
}

// stageName is how messages call a stage.
func stageName(s *dockerfile.Stage) string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprintf("stage-%d", s.Index)
}
