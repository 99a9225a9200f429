// This file owns what a line means as options of a build.

package kaniko

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/pkg/image"
)

// options are those of the build that the line asks for. What it says of registries and directories goes to the App.
func (l *Line) options(a *cli.App) (*building.Options, error) {
	o := building.New()
	if err := l.fillSource(&o.Source, a); err != nil {
		return nil, err
	}
	l.fillStages(o, a.Environ)
	if err := l.fillOutputs(&o.Outputs); err != nil {
		return nil, err
	}
	if err := l.fillCaches(&o.Caches, a); err != nil {
		return nil, err
	}
	if err := l.fillRegistries(&a.Registries); err != nil {
		return nil, err
	}
	o.Steps.Credentials.Secrets, o.Steps.Ignore = l.Secrets, l.IgnorePaths
	if l.IgnoreVarRun {
		o.Steps.Ignore = append(o.Steps.Ignore, "/var/run")
	}
	l.fillDisplay(o, a)
	return o, nil
}

// fillStages says what is built of the Dockerfile. An image that the Dockerfile names is the registry's, whatever has that name here.
func (l *Line) fillStages(o *building.Options, environ cli.Environment) {
	s := &o.Source
	s.Pull, s.Platform, s.Labels = true, l.Platform, l.Labels
	s.EveryStage = !l.SkipUnusedStages
	s.Target = strings.Join(l.Targets, "")
	for _, arg := range l.BuildArgs {
		if !strings.Contains(arg, "=") {
			arg += "=" + environ.Get(arg)
		}
		s.Args = append(s.Args, arg)
	}
	if l.Reproducible && environ.Get("SOURCE_DATE_EPOCH") == "" {
		s.Epoch = "0"
	}
	if l.DryRun {
		o.Call.Call = "outline"
	}
}

// unnamed is what kaniko calls an image in a tar when no destination does.
const unnamed = "docker.io/unset-repo/unset-image-name"

// fillOutputs says where the image goes.
func (l *Line) fillOutputs(o *building.Outputs) (err error) {
	o.Tags, o.Annotations, o.IgnoreImmutable = l.Destinations, l.Annotations, l.IgnoreImmutable
	o.Compression.Algorithm = l.Compression
	if l.CompressionLevel > 0 {
		o.Compression.Level = strconv.Itoa(l.CompressionLevel)
	}
	if l.SingleSnapshot {
		o.Layers = "squash"
	}
	types := "oci-mediatypes=" + strconv.FormatBool(l.ImageFormat != "docker")
	if l.LayoutPath != "" {
		o.Outputs = append(o.Outputs, words("type=oci", "tar=false", "index=single", "dest="+l.LayoutPath, types))
	}
	if l.TarPath != "" {
		tar := []string{"type=docker", "dest=" + l.TarPath}
		if len(l.Destinations) == 0 {
			tar = append(tar, "name="+unnamed)
		}
		o.Outputs = append(o.Outputs, words(tar...))
	}
	if !l.NoPush && !l.DryRun {
		o.Outputs = append(o.Outputs, words("type=registry", types))
	}
	// Nobody wants the image, but for its digest: the steps are all that there is to do.
	if len(o.Outputs) == 0 && len(l.Destinations) == 0 && l.DigestFile == "" {
		o.Outputs = []string{"type=cacheonly"}
	}
	o.MayPush, err = l.pushes()
	return err
}

// words are the fields of one -o, in which a value may have commas.
func words(fields ...string) string {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	_ = w.Write(fields) // a buffer takes all
	w.Flush()
	return strings.TrimSuffix(text.String(), "\n")
}

// pushes are the repositories that are asked before the first step whether they will take what is pushed.
func (l *Line) pushes() (names []string, err error) {
	cache, err := l.cacheRepo()
	switch {
	case err != nil || l.SkipPushCheck || l.DryRun:
		return nil, err
	case !l.NoPush:
		return l.Destinations, nil
	case l.CacheRepo != "" && !l.NoPushCache && !strings.HasPrefix(cache, "oci:"):
		return []string{cache}, nil
	}
	return nil, nil
}

// cacheRepo is where the shared cache is: oci:DIR or a repository; empty without --cache.
func (l *Line) cacheRepo() (string, error) {
	switch {
	case l.CacheRepo != "":
		return l.CacheRepo, nil
	case !l.Cache:
		return "", nil
	}
	ref, err := image.ParseName(l.Destinations[0])
	if err != nil {
		return "", cli.Usage(err)
	}
	return ref.Host + "/" + ref.Repository + "/cache", nil
}

// fillCaches says what is used of earlier builds. Without --cache, kaniko has no cache; here the steps that are stored on this
// machine are used all the same, unless it is said that they must not be.
func (l *Line) fillCaches(c *building.Caches, a *cli.App) error {
	c.NoCache = l.noCache
	if !l.Cache {
		return nil
	}
	if c.MaxAge = l.CacheTTL; l.CacheTTL <= 0 {
		c.NoCache = true
	}
	repo, err := l.cacheRepo()
	if err != nil {
		return err
	}
	from, to := []string{"type=registry", "ref=" + repo}, []string{"type=registry", "ref=" + repo, "mode=max"}
	if dir, ok := strings.CutPrefix(repo, "oci:"); ok {
		from, to = []string{"type=local", "src=" + dir}, []string{"type=local", "dest=" + dir, "mode=max"}
	}
	c.From = append(c.From, words(from...))
	if !l.NoPushCache {
		c.To = append(c.To, words(to...))
	}
	if dir, err := filepath.Abs(l.CacheDir); err == nil && l.ownCacheDir && unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
		a.Flags.Root, a.Flags.CacheDir = filepath.Join(dir, "gbuild", "state"), filepath.Join(dir, "gbuild", "caches")
	}
	return nil
}

// fillDisplay says how much is said of the build, and how.
func (l *Line) fillDisplay(o *building.Options, a *cli.App) {
	o.Outputs.Progress = map[string]string{"text": "plain", "color": "auto", "json": "json"}[l.LogFormat]
	switch l.Verbosity {
	case "trace", "debug":
		o.Explain, a.Flags.Debug = true, true
	case "info":
	default:
		o.Outputs.Progress = "quiet"
	}
}

// credentialFiles are those of kaniko's directory, and of the one that its image has.
func (l *Line) credentialFiles() (files []string) {
	for _, dir := range []string{l.Dir, defaultDir} {
		file := filepath.Join(dir, ".docker", "config.json")
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}
