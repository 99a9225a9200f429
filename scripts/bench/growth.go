// This file owns the workloads of growth: the same build with 1, 4 and 16 times as much of something.

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// times are the sizes of growth.
var times = [3]int{1, 4, 16}

// growing builds with gbuild, from nothing and without a push, at 1x, 4x and 16x of files, bytes, layers and stages.
func growing(ctx context.Context, b *bench) error {
	b.results.Growth = nil
	kinds := []struct {
		what  string
		unit  int
		write func(dir string, n int) error
	}{
		{"files of 1 kB in one COPY", b.size.growFiles, b.growFiles},
		{"bytes in one file", b.size.growBytes, b.growBytes},
		{"layers of a COPY each", b.size.growLayers, b.growLayers},
		{"stages that copy from the one before", b.size.growStages, b.growStages},
	}
	for _, k := range kinds {
		g := growth{What: k.what, Unit: k.unit}
		for i, times := range times {
			dir := filepath.Join(b.contexts, "growth")
			if err := b.removeAll(ctx, dir); err != nil {
				return err
			}
			if err := k.write(dir, times*k.unit); err != nil {
				return err
			}
			r, err := b.grow(ctx, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", k.what, err)
			}
			g.Walls[i], g.CPUs[i], g.Peaks[i] = r.wall(), r.cpu(), r.peak()
			b.say("%s: %d: %.3f s, CPU %.3f s, %.0f MB", k.what, times*k.unit, r.wall().Seconds(), r.cpu().Seconds(), float64(r.peak())/1e6)
		}
		b.results.Growth = append(b.results.Growth, g)
	}
	return b.removeAll(ctx, filepath.Join(b.contexts, "growth"))
}

func (b *bench) grow(ctx context.Context, dir string) (*figures, error) {
	t, r := b.tool("gbuild"), &figures{}
	c := b.contest()
	for range b.runs {
		if err := b.forget(ctx, t); err != nil {
			return nil, err
		}
		u, err := b.measure(ctx, t, b.log(t, "growth"), false, t.build(job{dir: dir, ref: b.ref("growth", t)})...)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, u)
		if c.spent[t.name] += u.Wall; c.spent[t.name] > b.budget/4 {
			break
		}
	}
	return r, nil
}

func (b *bench) growFiles(dir string, n int) error {
	if err := b.writeFiles(filepath.Join(dir, "files"), n, 1000); err != nil {
		return err
	}
	return writeFile(dir+"/Dockerfile", "FROM scratch\nCOPY files /files/\n")
}

func (b *bench) growBytes(dir string, n int) error {
	if err := writeFile(dir+"/big", text(random(7), n)); err != nil {
		return err
	}
	return writeFile(dir+"/Dockerfile", "FROM scratch\nCOPY big /\n")
}

func (b *bench) growLayers(dir string, n int) error {
	var d strings.Builder
	d.WriteString("FROM scratch\n")
	for i := range n {
		if err := writeFile(fmt.Sprintf("%s/file%d", dir, i), fmt.Sprintf("file %d\n", i)); err != nil {
			return err
		}
		fmt.Fprintf(&d, "COPY file%d /\n", i)
	}
	return writeFile(dir+"/Dockerfile", d.String())
}

func (b *bench) growStages(dir string, n int) error {
	var d strings.Builder
	d.WriteString("FROM scratch AS s0\nCOPY file /file0\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&d, "FROM scratch AS s%d\nCOPY --from=s%d /file%d /file%d\n", i, i-1, i-1, i)
	}
	if err := writeFile(dir+"/file", "file\n"); err != nil {
		return err
	}
	return writeFile(dir+"/Dockerfile", d.String())
}
