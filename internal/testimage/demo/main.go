// Demo gives examples/email-agent what it needs on a machine that reaches only Debian's mirror: a base image with Python
// in a registry, and a package index on loopback.
//
//	demo base DIR REF       make the base (kept in DIR) and push it as REF
//	demo index ADDR LOG     serve the packages at ADDR, with a line in LOG for each request
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/gbuild/gbuild/internal/testimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "base":
		return base(ctx, args[1], args[2])
	case len(args) == 3 && args[0] == "index":
		return index(ctx, args[1], args[2])
	}
	return fmt.Errorf("usage: demo base DIR REF | demo index ADDR LOG")
}

// base pushes Python with what training images bring along: a PYTHONPATH, and a package that the project removes.
func base(ctx context.Context, dir, ref string) error {
	python, err := testimage.Python(ctx, dir)
	if err != nil {
		return err
	}
	img, err := platform(python)
	if err != nil {
		return fmt.Errorf("making the base: %w", err)
	}
	return testimage.Push(ctx, ref, img)
}

func platform(python v1.Image) (v1.Image, error) {
	old := testimage.Wheel{Name: "agent-platform", Version: "0.1", Files: map[string]string{"agent_platform.py": "in_the_way = True\n"}}
	files, err := old.Installed("usr/local/lib/python3/dist-packages")
	if err != nil {
		return nil, err
	}
	img, err := testimage.Append(python, append(files, testimage.File{Name: "opt/platform/"})...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config := file.Config
	config.Env = append(config.Env, "PYTHONPATH=/opt/platform:/usr/local/lib/python3/dist-packages")
	return mutate.Config(img, config)
}

// offered are the packages of the index: what Debian's packages hold, under the versions that the example asks for.
var offered = []struct{ debian, version string }{
	{"python3-six", "1.16.0"},
	{"python3-six", "1.17.0"},
	{"python3-yaml", "6.0.1"},
	{"python3-tabulate", "0.9.0"},
}

func index(ctx context.Context, addr, log string) error {
	x, err := testimage.NewIndex()
	if err != nil {
		return err
	}
	for _, o := range offered {
		w, err := testimage.DebianWheel(o.debian)
		if err != nil {
			return err
		}
		w.Version = o.version
		if err := x.Add(w); err != nil {
			return err
		}
	}
	out, err := os.OpenFile(filepath.Clean(log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	x.Out = out
	return serve(ctx, addr, x)
}

func serve(ctx context.Context, addr string, handler http.Handler) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for pip: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // Serve then returns
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
