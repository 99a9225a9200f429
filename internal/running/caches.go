// This file owns the caches of the host that a container can share, such as those of pip and Hugging Face. They are the
// user's own directories, which programs outside of containers use, too; the caches of builds are others, and stay closed to
// containers. A shared cache must neither move one that the image or a volume has put somewhere, nor be needed: a program
// that does not find it fetches again.

package running

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// sharedCache is a directory of the host that a container can share: its place below a home, and the variable that moves
// it.
type sharedCache struct{ name, below, variable string }

// sharedCaches are those of the programs that most people run in containers with GPUs.
var sharedCaches = []sharedCache{
	{"pip", ".cache/pip", "PIP_CACHE_DIR"},
	{"huggingface", ".cache/huggingface", "HF_HOME"},
	{"transformers", ".cache/transformers", ""},
	{"uv", ".cache/uv", "UV_CACHE_DIR"},
	{"torch", ".cache/torch", "TORCH_HOME"},
	{"triton", ".triton", "TRITON_HOME"},
	{"vllm", ".cache/vllm", "VLLM_CACHE_ROOT"},
	{"wandb", ".cache/wandb", "WANDB_CACHE_DIR"},
}

// Caches is the part about --caches.
type Caches struct{ Names string }

// Flags registers --caches, which may stand without a value.
func (c *Caches) Flags(f *pflag.FlagSet) {
	f.StringVar(&c.Names, "caches", "", "share the host's caches: "+cacheNames()+" (default without a value: all; GBUILD_RUN_CACHES)")
	f.Lookup("caches").NoOptDefVal = "all"
}

// cacheNames lists them for help and errors.
func cacheNames() string {
	var names []string
	for _, c := range sharedCaches {
		names = append(names, c.name)
	}
	return strings.Join(names, ",")
}

// pickCaches reads --caches, or the variable that stands for it.
func pickCaches(list string) ([]sharedCache, error) {
	switch list {
	case "", "none", "0", "false":
		return nil, nil
	case "all", "1", "true":
		return sharedCaches, nil
	}
	var out []sharedCache
	for _, name := range strings.Split(list, ",") {
		found := false
		for _, c := range sharedCaches {
			if c.name == strings.TrimSpace(name) {
				out, found = append(out, c), true
			}
		}
		if !found {
			return nil, cli.Usagef("--caches %s: unknown cache %q (known: %s)", list, name, cacheNames())
		}
	}
	return out, nil
}

// fill binds the host's caches where the user of the image looks for them. A place that a volume or the image has
// already chosen is respected.
func (c *Caches) fill(box *runtime.Sandbox, home string, environ cli.Environment) error {
	list, err := pickCaches(c.Names)
	if err != nil {
		return err
	}
	for _, c := range list {
		source := c.onHost(environ)
		if source == "" {
			return hint.Errorf("set HOME, or use -v", "sharing cache %s: HOME is not set", c.name)
		}
		target := path.Join(home, c.below)
		// A variable of the image or of -e says where the program will look, so the cache goes there.
		if c.variable != "" {
			if v, set := envValue(box.Env, c.variable); set && path.IsAbs(v) {
				target = v
			} else {
				box.Env = append(box.Env, c.variable+"="+target)
			}
		}
		if covered(box.Mounts, target) {
			continue
		}
		// A cache that does not exist yet is made by the caller, who then owns it.
		if err := os.MkdirAll(source, 0o755); err != nil {
			return fmt.Errorf("sharing cache %s: %w", c.name, err)
		}
		box.Mounts = append(box.Mounts, runtime.Mount{Type: "bind", Source: source, Target: target})
	}
	if len(list) > 0 && box.UID != 0 && box.KeepID == nil {
		box.Notice(fmt.Sprintf("the caches belong to you, and the command runs as uid %d, which is another user: it may not write them; --userns=keep-id makes it you", box.UID))
	}
	return nil
}

// onHost is where the host has the cache, or "" where nobody says.
func (c *sharedCache) onHost(environ cli.Environment) string {
	if c.variable != "" {
		if v := environ.Get(c.variable); filepath.IsAbs(v) {
			return v
		}
	}
	below := c.below
	if dir := environ.Get("XDG_CACHE_HOME"); filepath.IsAbs(dir) && strings.HasPrefix(below, ".cache/") {
		return filepath.Join(dir, strings.TrimPrefix(below, ".cache/"))
	}
	if environ.Get("HOME") == "" {
		return ""
	}
	return filepath.Join(environ.Get("HOME"), below)
}

// covered says whether something is mounted on the target already.
func covered(list []runtime.Mount, target string) bool {
	for _, m := range list {
		if path.Clean(m.Target) == path.Clean(target) {
			return true
		}
	}
	return false
}

// envValue is the last value of a variable in an environment.
func envValue(env []string, name string) (string, bool) {
	value, found := "", false
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value, found = v, true
		}
	}
	return value, found
}
