package dockerfile

import (
	"testing"

	"github.com/gbuild/gbuild/pkg/installer"
)

func shellRun(text string) *Run { return &Run{Args: []string{"/bin/sh", "-c", text}} }

func TestChoosesCache(t *testing.T) {
	for _, c := range []struct {
		run  *Run
		want bool
	}{
		{shellRun("pip install a"), false},
		{shellRun("pip install --cache-dir /c a"), true},
		{shellRun("pip install --cache-dir=/c a"), true},
		{shellRun("PIP_CACHE_DIR=/c pip install a"), true},
		{&Run{Args: []string{"pip", "install", "a"}, Env: []string{"PIP_CACHE_DIR=/c"}}, true},
		{&Run{Args: []string{"pip", "install", "a"}, Env: []string{"PIP_CACHE_DIR="}}, false},
		{&Run{Args: []string{"pip", "install", "a"}, Mounts: []Mount{{Type: MountCache, Target: "/home/u/.cache/pip"}}}, true},
		{&Run{Args: []string{"pip", "install", "a"}, Mounts: []Mount{{Type: MountCache, Target: "/root/.cache"}}}, true},
		{&Run{Args: []string{"pip", "install", "a"}, Mounts: []Mount{{Type: MountCache, Target: "/root/.cache/uv"}}}, false},
		{&Run{Args: []string{"pip", "install", "a"}, Mounts: []Mount{{Type: MountSecret, Target: "/etc/pip"}}}, false},
	} {
		if got := c.run.ChoosesCache(installer.Pip); got != c.want {
			t.Errorf("%q %v %v: %t", c.run.Args, c.run.Env, c.run.Mounts, got)
		}
	}
	if r := shellRun("uv sync --link-mode symlink"); !r.ChoosesCache(installer.Uv) {
		t.Error("links into a cache would lead nowhere in the image")
	}
}

func TestReadsCaches(t *testing.T) {
	for text, want := range map[string]bool{
		"pip install a && rm -rf ~/.cache":                          false,
		"rm -rf /root/.cache/pip/*":                                 false,
		"chown -R me /home/me/.cache":                               true,
		"find $HOME/.cache/uv -name x -delete":                      true,
		"du -sh ~/.cache/huggingface":                               false,
		"mkdir -p ~/.cache && chown me ~/.cache":                    false,
		"rsync -a /seed/ /root/.cache/uv/":                          true,
		"HF_HOME=/root/.cache/huggingface python3 download.py":      false,
		"python3 get.py --cache /root/.cache && echo /root/.cache ": true,
	} {
		if got := ReadsCaches(shellRun(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	if !ReadsCaches(&Copy{From: Source{Kind: FromStage}, Sources: []string{"/root/.cache"}}) || ReadsCaches(&Copy{Sources: []string{"/root/.cache"}}) {
		t.Error("COPY")
	}
}
