// This file owns what callers give to a build, and what they get.

package build

import (
	"context"
	"net/url"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/pkg/build/sharedcache"
	"github.com/gbuild/gbuild/pkg/dockerfile"
	"github.com/gbuild/gbuild/pkg/files"
	"github.com/gbuild/gbuild/pkg/installer"
	"github.com/gbuild/gbuild/pkg/layers"
	"github.com/gbuild/gbuild/pkg/layers/codec"
	"github.com/gbuild/gbuild/pkg/pipcache"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// Builder has what all builds of a process share.
type Builder struct {
	Store   *layers.Store
	Caches  *pipcache.Caches
	Jobs    int         // steps that run at once; 0: 2
	Report  func(Event) // called from several goroutines, one at a time
	Entered bool        // this process is uid 0 of its own user and mount namespace
	Serial  bool        // one step at a time, and one stage after the other: RUN has one tree, which cannot be that of two states

	// Fetch finds an image by reference for a platform; image.Open in main, a map in tests.
	Fetch func(ctx context.Context, ref string, p v1.Platform) (v1.Image, error)
	// Exec runs one sandbox; (*runtime.Sandbox).Run in main, a func in tests.
	Exec func(ctx context.Context, s *runtime.Sandbox) error
	// Weak says whether Exec may give files other owners than the image should have; nil: it does not. The results are then for
	// builds of that kind only. It is asked when a RUN has no other result.
	Weak func() bool
	// Memory makes a directory that never reaches a disk, in a process that can mount none; nil: files of that kind lie in the store.
	Memory func() (dir string, remove func() error, err error)
	// Inject finds devices of RUN --device and Limits.Devices, for a process with that environment; nil where there are
	// none. It must leave nothing of them in a layer.
	Inject func(ctx context.Context, names, env []string) ([]runtime.Edits, error)

	lines lines
}

// Limits are the options of a build that every RUN gets.
type Limits struct {
	ShmSize int64               // bytes of /dev/shm; 0: 64 MiB
	Ulimits []string            // NAME=SOFT[:HARD]
	Hosts   []runtime.HostEntry // --add-host
	Network string              // the network of a RUN that names none, as in a Sandbox
	Ignore  []string            // what a RUN changes at these paths is in no layer, and no later step sees it
	Devices []string            // CDI names and nodes of the host that the command line gives; as names they are part of keys
}

// hostNames are what of Hosts is part of a key.
func (l Limits) hostNames() []string { // not their addresses, as in BuildKit
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
	Raw    bool // a RUN may say everything to the agent; without it, only ask for keys and signatures
}

// Request is one build.
type Request struct {
	Plan     *dockerfile.Plan
	Context  *files.Context                                                 // nil: an empty context
	Named    func(ctx context.Context, name string) (*files.Context, error) // opens a named context
	Secrets  map[string]Secret                                              // the ids are those that RUN --mount=type=secret names
	Agents   map[string]Secret                                              // ssh agents by id
	NoCache  bool                                                           // run every step; cache mounts stay
	Fresh    map[string]bool                                                // names of stages whose steps run again (--no-cache-filter)
	MaxAge   time.Duration                                                  // a RUN runs again that ran longer ago, as far as that is known here; 0: none does
	Limits   Limits
	Allow    map[string]bool // entitlements: network.host, security.insecure
	Compress codec.Compression
	Layering Layering
	Environ  []string // git takes proxies and the ssh agent from it

	MaxDownload int64 // bytes of a file or repository that ADD fetches; 0: 100 GB
	NoLayers    bool  // the caller wants no image: nothing is compressed
	Files       bool  // the caller reads the files of the result

	AutoCache []installer.Tool            // these tools get a cache in each RUN that has none of its own
	Mirrors   map[installer.Tool]*url.URL // indexes that pip, uv and apt use in RUN; no key has them, and no log their passwords
	PipDir    string                      // pip's cache for them; empty: one of Caches

	// Scope is whose the caches of this build are: cache mounts, those that nobody asked for, and the results of steps that
	// saw one. Nobody else's are used, but that those of ScopesBelow are read where Scope has nothing of its own.
	Scope       string
	ScopesBelow []string

	// EveryStage builds those before the target as well that it does not need. A step of theirs that fails fails the build.
	EveryStage bool

	NoCacheMounts bool // empty the cache mounts of the steps that run

	Explain bool   // report why each step runs or does not
	Place   string // names the Dockerfile and the context for Explain, from build to build

	CacheFrom []*sharedcache.Cache // asked, in this order, for the steps that are not stored here
	CacheTo   []*sharedcache.Cache // get the steps of this build
}

// Result is what a build made.
type Result struct {
	Image  v1.Image // nil with Request.NoLayers
	Key    layers.Key
	Sealed []v1.Layer // where Request.Files are not in the store: the layers to read them out of, the lowest first
	Config *v1.ConfigFile
	Steps  int // executed, not taken from the store
}
