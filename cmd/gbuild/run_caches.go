package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/runtime"
)

// sharedCache is a directory of the host that a run can share: where it is below a home, and the variable that moves
// it.
type sharedCache struct{ name, below, variable string }

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

func cacheNames() string {
	var names []string
	for _, c := range sharedCaches {
		names = append(names, c.name)
	}
	return strings.Join(names, ",")
}

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
			return nil, usagef("--caches %s: unknown cache %q (known: %s)", list, name, cacheNames())
		}
	}
	return out, nil
}

// cacheMounts binds the host's caches where the user of the image looks for them. A place that a volume or the image has
// already chosen is respected.
func (a *app) cacheMounts(o *runOptions, box *runtime.Sandbox, home string) error {
	list, err := pickCaches(o.caches)
	if err != nil {
		return err
	}
	for _, c := range list {
		source := a.hostCache(c)
		if source == "" {
			return hint.Errorf("set HOME, or use -v", "sharing cache %s: HOME is not set", c.name)
		}
		target := path.Join(home, c.below)
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

func (a *app) hostCache(c sharedCache) string {
	if c.variable != "" {
		if v := a.env(c.variable); filepath.IsAbs(v) {
			return v
		}
	}
	below := c.below
	if dir := a.env("XDG_CACHE_HOME"); filepath.IsAbs(dir) && strings.HasPrefix(below, ".cache/") {
		return filepath.Join(dir, strings.TrimPrefix(below, ".cache/"))
	}
	if a.env("HOME") == "" {
		return ""
	}
	return filepath.Join(a.env("HOME"), below)
}

func covered(list []runtime.Mount, target string) bool {
	for _, m := range list {
		if path.Clean(m.Target) == path.Clean(target) {
			return true
		}
	}
	return false
}
