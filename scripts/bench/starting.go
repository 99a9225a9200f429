// This file owns the workload that starts containers.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gbuild/gbuild/internal/testimage"
)

// starting runs /bin/true in a container of the same root filesystem: without a network, and with the one that each
// tool gives by default. runc does nothing but that, so it is the limit.
func starting(ctx context.Context, b *bench) error {
	c := b.contest()
	var entrants []*tool
	for _, t := range b.tools {
		if t.runs != nil {
			entrants = append(entrants, t)
		}
	}
	if runc := b.runcTool(ctx); runc.unknown == "" {
		entrants = append(entrants, runc)
	} else {
		b.say("runc: left out: %s", runc.unknown)
	}
	for _, t := range entrants {
		if t.build == nil {
			continue
		}
		j := job{dir: b.contexts + "/probe", ref: b.ref("run", t)}
		if _, err := b.measure(ctx, t, b.log(t, "run"), false, t.build(j)...); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	all := c.tools
	c.tools = entrants
	defer func() { c.tools = all }()
	for _, network := range []string{"none", "default"} {
		err := c.rounds(ctx, 2*b.size.quick, func(t *tool, _ int) error { return c.start(ctx, t, network) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *contest) start(ctx context.Context, t *tool, network string) error {
	argv := t.runs(c.ref("run", t), network)
	if argv == nil {
		return nil
	}
	row := c.results.figures("run-"+network, t.name)
	u, err := c.measure(ctx, t, c.log(t, "run"), false, argv)
	if err != nil {
		row.Failed = err.Error()
		return err
	}
	row.Runs = append(row.Runs, u)
	return nil
}

// runcTool is runc with a bundle of the shell image; as the ordinary user where that works.
func (b *bench) runcTool(ctx context.Context) *tool {
	bundle := filepath.Join(b.dir, "runc")
	t := &tool{name: "runc", watch: []string{"runc"}}
	t.runs = func(_, network string) []string {
		if network != "none" {
			return nil
		}
		return []string{"runc", "--root", bundle + "/state", "run", "--bundle", bundle, "bench"}
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.unknown = "not installed"
		return t
	}
	spec := words("runc spec --rootless --bundle")
	for _, t.root = range []bool{false, true} {
		if err := b.writeBundle(ctx, t, bundle, append(spec, bundle)); err != nil {
			t.unknown = err.Error()
			continue
		}
		if _, err := b.measure(ctx, t, b.log(t, "probe"), false, t.runs("", "none")); err != nil {
			t.unknown = err.Error()
			continue
		}
		t.unknown = ""
		version, _ := exec.CommandContext(ctx, "runc", "--version").Output()
		b.results.Tools["runc"] = toolFacts{Version: firstLine(version), How: "a bundle that is there" + asRoot(t)}
		return t
	}
	return t
}

func (b *bench) writeBundle(ctx context.Context, t *tool, bundle string, spec []string) error {
	if err := b.removeAll(ctx, bundle); err != nil {
		return err
	}
	root := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := unpackShell(ctx, root); err != nil {
		return err
	}
	if b.credential != nil && !t.root {
		if err := os.Chown(bundle, int(b.credential.Uid), int(b.credential.Gid)); err != nil {
			return err
		}
	}
	if out, err := b.as(ctx, t, spec...).CombinedOutput(); err != nil {
		return fmt.Errorf("running runc spec: %w: %s", err, out)
	}
	return editSpec(filepath.Join(bundle, "config.json"))
}

// editSpec lets the bundle run /bin/true without a terminal, in a network namespace of its own as others do.
func editSpec(path string) error {
	var spec map[string]any
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	process, linux := spec["process"].(map[string]any), spec["linux"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/true"}
	spaces, _ := linux["namespaces"].([]any)
	linux["namespaces"] = append(without(spaces, "network"), map[string]any{"type": "network"})
	if data, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

func without(spaces []any, kind string) []any {
	var rest []any
	for _, s := range spaces {
		if m, ok := s.(map[string]any); !ok || m["type"] != kind {
			rest = append(rest, s)
		}
	}
	return rest
}

func unpackShell(ctx context.Context, root string) error {
	img, err := testimage.Shell()
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		tar, err := l.Uncompressed()
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "tar", "-x", "--no-same-owner", "-C", root)
		cmd.Stdin = tar
		out, err := cmd.CombinedOutput()
		_ = tar.Close()
		if err != nil {
			return fmt.Errorf("unpacking the shell image: %w: %s", err, out)
		}
	}
	return nil
}
