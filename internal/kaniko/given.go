// This file owns what a command line of kaniko says, and what the environment says instead.

package kaniko

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
)

// Line is a command line of kaniko's executor, in its words. flags.go says of each field what it means.
type Line struct {
	// What is built.
	Context, Bucket, SubPath string
	Dockerfile               string
	Git                      cli.List
	BuildArgs                cli.List
	Targets                  cli.List
	SkipUnusedStages         bool
	Platform, oldPlatform    string
	Secrets, IgnorePaths     cli.List
	IgnoreVarRun             bool
	Destinations             cli.List
	NoPush                   bool
	TarPath, oldTarPath      string
	LayoutPath               string
	DigestFile               string
	NameFile, NameTagFile    string
	Labels, Annotations      cli.List
	SingleSnapshot           bool
	Reproducible             bool
	Compression, ImageFormat string
	CompressionLevel         int
	DryRun                   bool
	Cache, NoPushCache       bool
	CacheRunLayers           bool
	CacheRepo, CacheDir      string
	CacheTTL                 time.Duration
	Insecure, InsecurePull   bool
	SkipVerify               bool
	SkipVerifyPull           bool
	InsecureRegistries       cli.List
	SkipVerifyRegistries     cli.List
	Certificates             cli.List
	ClientCertificates       cli.List
	Mirrors, Maps            cli.List
	MirrorsOnly              bool
	IgnoreImmutable          bool
	SkipPushCheck            bool
	Helpers                  cli.List
	Dir                      string
	Verbosity, LogFormat     string
	SnapshotMode             string
	oldSnapshotMode          string

	// --cache=false was said; by default nothing is said of what is stored here.
	noCache bool
	// --cache-dir was said.
	ownCacheDir bool
}

// NewLine is a command line without flags: it has kaniko's defaults.
func NewLine() *Line {
	return &Line{Context: "/workspace/", Dockerfile: "Dockerfile", CompressionLevel: -1, CacheDir: "/cache", CacheTTL: 14 * 24 * time.Hour,
		CacheRunLayers: true, Dir: defaultDir, Verbosity: "info", LogFormat: "color", SnapshotMode: "full"}
}

// defaultDir is where kaniko's image has its files.
const defaultDir = "/kaniko"

// complete brings in older names and the environment, by kaniko's rules: a variable wins over --no-push, and adds to mirrors.
func (l *Line) complete(flags *pflag.FlagSet, environ cli.Environment) error {
	l.Platform, l.TarPath = cmp.Or(l.oldPlatform, l.Platform), cmp.Or(l.oldTarPath, l.TarPath)
	l.SnapshotMode = cmp.Or(l.oldSnapshotMode, l.SnapshotMode)
	l.noCache = flags.Changed("cache") && !l.Cache || flags.Changed("cache-run-layers") && !l.CacheRunLayers
	l.ownCacheDir = flags.Changed("cache-dir")
	if text := environ.Get("KANIKO_NO_PUSH"); text != "" {
		no, err := strconv.ParseBool(text)
		if err != nil {
			return cli.Usagef("KANIKO_NO_PUSH=%s: it is true or false", text)
		}
		l.NoPush = no
	}
	for name, list := range map[string]*cli.List{"KANIKO_REGISTRY_MIRROR": &l.Mirrors, "KANIKO_REGISTRY_MAP": &l.Maps} {
		if text := environ.Get(name); text != "" {
			*list = append(*list, text)
		}
	}
	if !flags.Changed("kaniko-dir") {
		l.Dir = cmp.Or(environ.Get("KANIKO_DIR"), l.Dir)
	}
	return l.check()
}

// check refuses what kaniko refuses, in words of our own.
func (l *Line) check() error {
	for _, one := range []struct {
		flag, value string
		words       []string
	}{
		{"--snapshot-mode", l.SnapshotMode, []string{"full", "redo", "time"}},
		{"--compression", l.Compression, []string{"", "gzip", "zstd"}},
		{"--image-format", l.ImageFormat, []string{"", "oci", "docker"}},
		{"--log-format", l.LogFormat, []string{"text", "color", "json"}},
		{"--verbosity", l.Verbosity, []string{"trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"}},
	} {
		if !slices.Contains(one.words, one.value) {
			return cli.OneOf(one.flag, one.value, slices.DeleteFunc(one.words, func(s string) bool { return s == "" })...)
		}
	}
	switch {
	case !l.NoPush && len(l.Destinations) == 0 && !l.DryRun:
		return cli.Usagef("there is no --destination to push to; without one it is --no-push")
	case len(l.Destinations) == 0 && (l.NameFile != "" || l.NameTagFile != ""):
		return cli.Usagef("--image-name-with-digest-file and --image-name-tag-with-digest-file name destinations, and there is no --destination")
	case l.Cache && l.NoPush && l.CacheRepo == "":
		return cli.Usagef("--cache with --no-push needs a --cache-repo")
	case len(l.Targets) > 1:
		return cli.Usagef("--target is given %d times: one image is built of one stage; build each by a command of its own", len(l.Targets))
	}
	_, err := l.gitOptions()
	return err
}
