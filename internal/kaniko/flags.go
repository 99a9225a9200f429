// This file owns the table of kaniko's flags: their names and defaults are kaniko's, what each does is said for gbuild.

package kaniko

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/cli"
)

// Flag is one flag of kaniko's executor.
type Flag struct {
	Name, Short string
	// It is listed with those of the same group.
	Group string
	// What it does here.
	Does string

	// Where its value goes, which holds its default: a *string, *bool, *int, *time.Duration or *cli.List.
	to any
	// It is taken and changes nothing: what it is about does not arise here, or is done anyway.
	idle bool
	// Older names, which help does not list.
	hidden bool
}

// The groups, in the order of the help.
const (
	groupInput      = "What is built"
	groupOutput     = "What is made"
	groupCache      = "Caches"
	groupRegistries = "Registries"
	groupLog        = "What is said"
	groupIdle       = "Taken for kaniko's sake, without effect"
	groupOwn        = "gbuild's own"
)

var groups = []string{groupInput, groupOutput, groupCache, groupRegistries, groupLog, groupOwn, groupIdle}

// Flags are all flags of kaniko, those of its living forks included, over the fields of a line.
func (l *Line) Flags() []Flag {
	return slices.Concat(l.inputFlags(), l.outputFlags(), l.cacheFlags(), l.registryFlags(), l.logFlags(), l.idleFlags())
}

func (l *Line) inputFlags() []Flag {
	return []Flag{
		{Name: "context", Short: "c", Group: groupInput, to: &l.Context, Does: "a directory, dir://DIR, tar://FILE, tar://stdin, git://HOST/REPOSITORY[#REF[#COMMIT]], https://… of a tar; buckets are fetched by their vendor's tool first"},
		{Name: "bucket", Short: "b", Group: groupInput, to: &l.Bucket, hidden: true, Does: "refused as gs:// is"},
		{Name: "context-sub-path", Group: groupInput, to: &l.SubPath, Does: "directory in the context that is the context; as with kaniko not for a context without ://"},
		{Name: "dockerfile", Short: "f", Group: groupInput, to: &l.Dockerfile, Does: "path from here, else from the context, or an http(s) URL"},
		{Name: "git", Group: groupInput, to: &l.Git, Does: "branch=NAME, recurse-submodules=BOOL; single-branch and depth need not be said: one commit is fetched"},
		{Name: "build-arg", Group: groupInput, to: &l.BuildArgs, Does: "NAME=VALUE; NAME alone has the environment's value, or is empty (repeatable)"},
		{Name: "target", Group: groupInput, to: &l.Targets, Does: "stage to build (default: the last)"},
		{Name: "skip-unused-stages", Group: groupInput, to: &l.SkipUnusedStages, Does: "do not build the stages before the target that it does not need"},
		{Name: "custom-platform", Group: groupInput, to: &l.Platform, Does: "platform of the image and its bases, OS/ARCH[/VARIANT]"},
		{Name: "customPlatform", Group: groupInput, to: &l.oldPlatform, hidden: true, Does: "older name of --custom-platform"},
		{Name: "secret", Group: groupInput, to: &l.Secrets, Does: "id=ID[,src=FILE|,env=NAME] for RUN --mount=type=secret (repeatable)"},
		{Name: "ignore-path", Group: groupInput, to: &l.IgnorePaths, Does: "what a RUN changes at this path, or below it, is in no layer, and no later step sees it (repeatable)"},
		{Name: "ignore-var-run", Group: groupInput, to: &l.IgnoreVarRun, Does: "--ignore-path=/var/run; unlike kaniko's the default is false: what a RUN writes there is in the image, and what is mounted there never is"},
		{Name: "whitelist-var-run", Group: groupInput, to: &l.IgnoreVarRun, hidden: true, Does: "older name of --ignore-var-run"},
	}
}

func (l *Line) outputFlags() []Flag {
	return []Flag{
		{Name: "destination", Short: "d", Group: groupOutput, to: &l.Destinations, Does: "name to push the image to (repeatable)"},
		{Name: "no-push", Group: groupOutput, to: &l.NoPush, Does: "push no image; with --destination it is kept here under these names (KANIKO_NO_PUSH)"},
		{Name: "tar-path", Group: groupOutput, to: &l.TarPath, Does: "file to write the image to, as docker load reads it"},
		{Name: "tarPath", Group: groupOutput, to: &l.oldTarPath, hidden: true, Does: "older name of --tar-path"},
		{Name: "oci-layout-path", Group: groupOutput, to: &l.LayoutPath, Does: "directory to write the image to as an OCI layout, which has this image only"},
		{Name: "digest-file", Group: groupOutput, to: &l.DigestFile, Does: "file, or https:// address to PUT to, for the digest"},
		{Name: "image-name-with-digest-file", Group: groupOutput, to: &l.NameFile, Does: "likewise for a line NAME@DIGEST for each destination"},
		{Name: "image-name-tag-with-digest-file", Group: groupOutput, to: &l.NameTagFile, Does: "likewise for a line NAME:TAG@DIGEST for each destination"},
		{Name: "label", Group: groupOutput, to: &l.Labels, Does: "NAME=VALUE for the image's config (repeatable)"},
		{Name: "annotation", Group: groupOutput, to: &l.Annotations, Does: "NAME=VALUE for the image's manifest (repeatable)"},
		{Name: "single-snapshot", Group: groupOutput, to: &l.SingleSnapshot, Does: "all that the Dockerfile adds to its base is one layer"},
		{Name: "reproducible", Group: groupOutput, to: &l.Reproducible, Does: "image and new files are of 1970, or of SOURCE_DATE_EPOCH; the base's layers keep their bytes"},
		{Name: "compression", Group: groupOutput, to: &l.Compression, Does: "of layers: gzip or zstd"},
		{Name: "compression-level", Group: groupOutput, to: &l.CompressionLevel, Does: "1 to 9 for gzip, 1 to 22 for zstd; -1 is the default"},
		{Name: "image-format", Group: groupOutput, to: &l.ImageFormat, Does: "media types of the manifest: oci or docker"},
		{Name: "dryrun", Group: groupOutput, to: &l.DryRun, Does: "print what would be built, and build nothing"},
	}
}

func (l *Line) cacheFlags() []Flag {
	return []Flag{
		{Name: "cache", Group: groupCache, to: &l.Cache, Does: "take steps from the shared cache, and write them there; --cache=false runs every step again"},
		{Name: "cache-repo", Group: groupCache, to: &l.CacheRepo, Does: "repository of the shared cache, or oci:DIR (default: the first destination, with /cache after its name)"},
		{Name: "no-push-cache", Group: groupCache, to: &l.NoPushCache, Does: "read the shared cache only"},
		{Name: "cache-ttl", Group: groupCache, to: &l.CacheTTL, Does: "a step that is stored for longer runs again; with --cache"},
		{Name: "cache-dir", Group: groupCache, to: &l.CacheDir, Does: "with --cache: directory in which gbuild keeps its state and cache mounts, if it may write there; a warmer's files are not read"},
		{Name: "cache-run-layers", Group: groupCache, to: &l.CacheRunLayers, Does: "if false, every step runs again"},
	}
}

func (l *Line) registryFlags() []Flag {
	return []Flag{
		{Name: "insecure", Group: groupRegistries, to: &l.Insecure, Does: "speak plain http to the registries of destinations and cache, where they do"},
		{Name: "insecure-pull", Group: groupRegistries, to: &l.InsecurePull, Does: "speak plain http to the registries of base images, where they do"},
		{Name: "insecure-registry", Group: groupRegistries, to: &l.InsecureRegistries, Does: "speak plain http to this HOST[:PORT], where it does (repeatable)"},
		{Name: "skip-tls-verify", Group: groupRegistries, to: &l.SkipVerify, Does: "accept any certificate of the registries of destinations and cache, and, as kaniko, of base images"},
		{Name: "skip-tls-verify-pull", Group: groupRegistries, to: &l.SkipVerifyPull, Does: "accept any certificate of the registries of base images"},
		{Name: "skip-tls-verify-registry", Group: groupRegistries, to: &l.SkipVerifyRegistries, Does: "accept any certificate of this HOST[:PORT] (repeatable)"},
		{Name: "registry-certificate", Group: groupRegistries, to: &l.Certificates, Does: "HOST[:PORT]=FILE: a CA of this registry, besides the machine's (repeatable)"},
		{Name: "registry-client-cert", Group: groupRegistries, to: &l.ClientCertificates, Does: "HOST[:PORT]=CERT,KEY to log in with (repeatable)"},
		{Name: "registry-mirror", Group: groupRegistries, to: &l.Mirrors, Does: "HOST[:PORT][/PATH] to ask for images of Docker Hub first (repeatable; KANIKO_REGISTRY_MIRROR)"},
		{Name: "registry-map", Group: groupRegistries, to: &l.Maps, Does: "HOST=HOST[/PATH][;…]: ask the second for images of the first (repeatable; KANIKO_REGISTRY_MAP)"},
		{Name: "skip-default-registry-fallback", Group: groupRegistries, to: &l.MirrorsOnly, Does: "an image that no mirror has is an error"},
		{Name: "push-ignore-immutable-tag-errors", Group: groupRegistries, to: &l.IgnoreImmutable, Does: "a tag that the registry calls immutable is no error"},
		{Name: "skip-push-permission-check", Group: groupRegistries, to: &l.SkipPushCheck, Does: "do not ask before the first step whether the registries will take the image"},
		{Name: "credential-helpers", Group: groupRegistries, to: &l.Helpers, Does: "env, google, ecr, acr, gitlab: what is asked for credentials that config.json lacks; empty: none (repeatable; default: all)"},
		{Name: "kaniko-dir", Group: groupRegistries, to: &l.Dir, Does: "directory whose .docker/config.json has credentials, too (KANIKO_DIR)"},
	}
}

func (l *Line) logFlags() []Flag {
	return []Flag{
		{Name: "verbosity", Short: "v", Group: groupLog, to: &l.Verbosity, Does: "panic, fatal, error, warn: only notices; info; debug, trace: why each step runs as well"},
		{Name: "log-format", Group: groupLog, to: &l.LogFormat, Does: "text, color (on a terminal) or json"},
	}
}

// idleFlags are about kaniko's ways of doing what is done otherwise here.
func (l *Line) idleFlags() []Flag {
	flags := []Flag{
		{Name: "cache-copy-layers", to: new(bool), Does: "the cache has the layers of COPY anyway"},
		{Name: "cleanup", to: new(bool), Does: "nothing of a build is left behind anyway"},
		{Name: "compressed-caching", to: new(true), Does: "no layer is held in memory"},
		{Name: "force", to: new(bool), Does: "there is no place in which a build is dangerous"},
		{Name: "force-build-metadata", to: new(bool), Does: "instructions that change no file have a line in the history, and no layer"},
		{Name: "image-download-retry", to: new(int), Does: "every request is sent again after what passes"},
		{Name: "image-fs-extract-retry", to: new(int), Does: "a download that breaks off goes on where it was"},
		{Name: "push-retry", to: new(int), Does: "every request is sent again after what passes"},
		{Name: "log-timestamp", to: new(bool), Does: "--log-format=json has the time of each line"},
		{Name: "materialize", to: new(bool), Does: "the files of the image are left nowhere"},
		{Name: "pre-cleanup", to: new(bool), Does: "a build begins with nothing of an earlier one"},
		{Name: "preserve-context", to: new(bool), Does: "the context is never touched"},
		{Name: "snapshot-mode", to: &l.SnapshotMode, Does: "what a step changed is known without comparing"},
		{Name: "snapshotMode", to: &l.oldSnapshotMode, hidden: true, Does: "older name of --snapshot-mode"},
		{Name: "use-new-run", to: new(bool), Does: "what a step changed is known without comparing"},
	}
	for i := range flags {
		flags[i].Group, flags[i].idle = groupIdle, true
	}
	return flags
}

// Register adds the flags to those of a command.
func (l *Line) Register(flags *pflag.FlagSet) {
	for _, f := range l.Flags() {
		switch to := f.to.(type) {
		case *string:
			flags.StringVarP(to, f.Name, f.Short, *to, f.Does)
		case *bool:
			flags.BoolVarP(to, f.Name, f.Short, *to, f.Does)
		case *int:
			flags.IntVarP(to, f.Name, f.Short, *to, f.Does)
		case *time.Duration:
			flags.DurationVarP(to, f.Name, f.Short, *to, f.Does)
		case *cli.List:
			flags.VarP(to, f.Name, f.Short, f.Does)
		default:
			panic(fmt.Sprintf("--%s is of no known type: %T", f.Name, f.to))
		}
		flags.Lookup(f.Name).Hidden = f.hidden
	}
}

// Notices are what the user should know of the flags that were given.
func (l *Line) Notices(flags *pflag.FlagSet) (all []string) {
	var idle []string
	for _, f := range l.Flags() {
		if f.idle && flags.Changed(f.Name) {
			idle = append(idle, "--"+f.Name)
		}
	}
	if len(idle) > 0 {
		all = append(all, strings.Join(idle, ", ")+": accepted for kaniko's sake, without effect")
	}
	if l.SubPath != "" && !strings.Contains(l.Context, "://") {
		all = append(all, "--context-sub-path: without effect for a context without dir://, as with kaniko; say --context=dir://"+l.Context)
	}
	return all
}

// Usage is the list of flags in the help, by groups.
func (l *Line) Usage(flags *pflag.FlagSet) string {
	var text strings.Builder
	for _, group := range groups {
		some := pflag.NewFlagSet(group, pflag.ContinueOnError)
		for _, f := range l.Flags() {
			if f.Group == group {
				some.AddFlag(flags.Lookup(f.Name))
			}
		}
		if group == groupOwn {
			flags.VisitAll(func(f *pflag.Flag) { addOwn(some, f, l.Flags()) })
		}
		fmt.Fprintf(&text, "\n%s:\n%s", group, some.FlagUsages())
	}
	return text.String()
}

// addOwn adds a flag that kaniko does not have.
func addOwn(to *pflag.FlagSet, f *pflag.Flag, kaniko []Flag) {
	if !slices.ContainsFunc(kaniko, func(k Flag) bool { return k.Name == f.Name }) {
		to.AddFlag(f)
	}
}
