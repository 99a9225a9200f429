package main

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gbuild/gbuild/internal/hint"
)

// buildOptions are the flags of gbuild build.
type buildOptions struct {
	file, target, name, platform      string
	tags, args, labels, secrets, ssh  []string
	outputs, contexts, addHosts       []string
	noCacheFilter, ulimits, allow     []string
	argFiles, annotations, attest     []string
	cacheFrom, cacheTo, cacheRepo     []string
	cacheScope                        string
	scopesBelow                       []string
	mountsFrom, mountsTo              []string
	autoCache, mirrors                []string
	pipCache                          string
	gpus, devices, cdiDirs            []string
	network, progress, shmSize, call  string
	layers                            string
	epoch, sbom, provenance, cgroup   string
	iidfile, metadataFile, digestFile string
	noCache, pull, push, quiet        bool
	explain                           bool
	noCacheMounts, load               bool
	check                             bool
	compression, compressionLevel     string
	forceCompression                  bool
	pullTTL                           time.Duration
	jobs                              int
	context                           string
	without                           []string // flags of docker build that have no effect here
}

// addBuildFlags adds the flags that docker buildx build has too, and gbuild's.
func (a *app) addBuildFlags(f *pflag.FlagSet, o *buildOptions) {
	f.StringVarP(&o.file, "file", "f", "", "the Dockerfile (default CONTEXT/Dockerfile, else Containerfile; - for standard input)")
	f.Var((*list)(&o.args), "build-arg", "NAME=VALUE for an ARG; NAME alone takes the environment's value (repeatable)")
	f.Var((*list)(&o.argFiles), "build-arg-file", "file with a --build-arg in each line (repeatable)")
	f.StringVar(&o.target, "target", "", "stage to build (default: the last)")
	f.Var((*list)(&o.contexts), "build-context", "NAME=DIR|URL|docker-image://REF|oci-layout://DIR (repeatable)")
	f.StringVar(&o.platform, "platform", "", "platform of the image and its bases, e.g. linux/amd64")
	f.Var((*list)(&o.labels), "label", "NAME=VALUE for the image's config (repeatable)")
	f.Var((*list)(&o.annotations), "annotation", "NAME=VALUE for the image's manifest (repeatable)")
	f.StringVar(&o.epoch, "source-date-epoch", "", "time of the image and the newest of its files, in seconds since 1970; context, or a stage")
	f.StringVar(&o.call, "call", "build", "build, or only report: check, outline, targets; with ,format=json as JSON")
	f.BoolVar(&o.check, "check", false, "report what the lint rules find, and build nothing (--call=check)")
	a.addOutputFlags(f, o)
	a.addRunFlags(f, o)
	a.addFetchFlags(f, o)
}

func (a *app) addOutputFlags(f *pflag.FlagSet, o *buildOptions) {
	f.VarP((*list)(&o.tags), "tag", "t", "name of the image, NAME[:TAG]; a bare tag belongs to --name (repeatable)")
	f.StringVar(&o.name, "name", a.env("IMAGE_NAME"), "name that bare tags belong to (IMAGE_NAME)")
	f.BoolVar(&o.push, "push", false, "push the image to the registries that its names say")
	f.BoolVar(&o.load, "load", false, "keep the image under its names here, as is done anyway")
	f.VarP((*list)(&o.outputs), "output", "o", "type=oci|docker|tar|local|image|registry,dest=PATH (repeatable; DIR alone is local, - is tar)")
	f.StringVar(&o.layers, "layers", "auto", "auto (large Python distributions get layers of their own), per-step or squash (one over the base)")
	f.StringVar(&o.compression, "compression", "", "of layers: gzip, zstd, estargz or none (default gzip)")
	f.StringVar(&o.compressionLevel, "compression-level", "", "1 to 9 for gzip (default 5), 1 to 22 for zstd (default 3)")
	f.BoolVar(&o.forceCompression, "force-compression", false, "compress the base's layers so, too; they are sent as they are otherwise")
	f.StringVar(&o.iidfile, "iidfile", "", "file to write the image id to")
	f.StringVar(&o.metadataFile, "metadata-file", "", "file to write what was built to, as JSON")
	f.StringVar(&o.digestFile, "digest-file", "", "file to write the manifest's digest to")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the image id only")
	f.StringVar(&o.progress, "progress", "auto", "auto, tty, plain, json or quiet")
	a.registries.addInsecure(f)
}

func (a *app) addRunFlags(f *pflag.FlagSet, o *buildOptions) {
	f.BoolVar(&o.noCache, "no-cache", truthy(a.env("NO_CACHE")), "run every step again; cache mounts are kept (NO_CACHE)")
	f.StringSliceVar(&o.noCacheFilter, "no-cache-filter", nil, "stages whose steps run again")
	f.BoolVar(&o.noCacheMounts, "no-cache-mounts", false, "empty the cache mounts of the steps that run")
	a.addCacheFlags(f, o)
	f.BoolVar(&o.explain, "explain", false, "say for each step why it runs, or why it need not")
	f.BoolVar(&o.pull, "pull", false, "take base images from their registry even where a local image has the name")
	f.DurationVar(&o.pullTTL, "pull-ttl", 0, "for how long the answer of a registry, what a tag means, is good; e.g. 1h (default: it is asked in each build)")
	f.Var((*list)(&o.secrets), "secret", "id=ID[,src=FILE|,env=NAME]: for RUN --mount=type=secret (repeatable)")
	f.Var((*list)(&o.ssh), "ssh", "default|ID[=SOCKET[,raw=true]|KEY[,KEY]]: an ssh agent for RUN --mount=type=ssh and, as default, for git in ADD (repeatable)")
	f.StringVar(&o.network, "network", "default", "network of RUN: default (private, where that can be had), private, host or none")
	f.Var((*list)(&o.addHosts), "add-host", "NAME:ADDRESS for /etc/hosts of RUN (repeatable)")
	f.Var((*list)(&o.ulimits), "ulimit", "NAME=SOFT[:HARD] for RUN (repeatable)")
	f.StringVar(&o.shmSize, "shm-size", "", "size of /dev/shm in RUN, e.g. 2g")
	f.Var((*list)(&o.allow), "allow", "entitlement that the Dockerfile may use: network.host, security.insecure, device[=NAME] (repeatable)")
	f.Var((*list)(&o.gpus), "gpus", "GPUs for every RUN, as gbuild run takes them: all, 2, device=0,1 (repeatable)")
	f.Var((*list)(&o.devices), "device", "CDI name or /dev/NAME[:/dev/NAME][:rwm] for every RUN (repeatable)")
	f.Var((*list)(&o.cdiDirs), "cdi-spec-dir", "further directory of CDI specs (repeatable)")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "steps that run at once")
}

// addForeignFlags adds, hidden, the flags of docker build that are accepted or refused for what they ask.
func addForeignFlags(c *cobra.Command, o *buildOptions) {
	f := c.Flags()
	f.Var((*list)(&o.attest), "attest", "")
	f.StringVar(&o.sbom, "sbom", "", "")
	f.StringVar(&o.provenance, "provenance", "", "")
	f.StringVar(&o.cgroup, "cgroup-parent", "", "")
	f.Lookup("sbom").NoOptDefVal, f.Lookup("provenance").NoOptDefVal = "true", "true"
	for _, name := range []string{"attest", "sbom", "provenance", "cgroup-parent"} {
		f.Lookup(name).Hidden = true
	}
	for _, name := range []string{"builder", "memory-swap", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems", "resource", "isolation", "security-opt"} {
		addIneffective(f, o, name, "", false)
	}
	addIneffective(f, o, "memory", "m", false)
	addIneffective(f, o, "cpu-shares", "c", false)
	for _, name := range []string{"compress", "rm", "force-rm", "squash", "disable-content-trust"} {
		addIneffective(f, o, name, "", true)
	}
}

// ineffective is a flag that is taken and does nothing; that is said once.
type ineffective struct {
	name    string
	isBool  bool
	without *[]string
}

func addIneffective(f *pflag.FlagSet, o *buildOptions, name, short string, isBool bool) {
	flag := f.VarPF(ineffective{name, isBool, &o.without}, name, short, "")
	flag.Hidden = true
	if isBool {
		flag.NoOptDefVal = "true"
	}
}

func (i ineffective) Set(value string) error {
	if i.isBool {
		on, err := strconv.ParseBool(value)
		if err != nil || !on {
			return err
		}
	}
	if !slices.Contains(*i.without, "--"+i.name) {
		*i.without = append(*i.without, "--"+i.name)
	}
	return nil
}

func (i ineffective) String() string { return "" }
func (i ineffective) Type() string   { return map[bool]string{true: "bool", false: "string"}[i.isBool] }

// allowed are the entitlements that the command line grants.
func (o *buildOptions) allowed() map[string]bool {
	all := map[string]bool{"network.host": o.network == "host"}
	for _, name := range o.allow {
		all[name] = true
	}
	return all
}

// notices are what the user should know about flags that were accepted.
func (o *buildOptions) notices() (all []string) {
	if len(o.without) > 0 {
		all = append(all, strings.Join(o.without, ", ")+": accepted for docker build's sake, without effect")
	}
	for _, s := range slices.Concat(o.attest, []string{o.provenance}) {
		if strings.Contains(s, "mode=") {
			all = append(all, "no provenance is written: attestations are not supported yet")
			break
		}
	}
	if slices.ContainsFunc(slices.Concat(o.cacheFrom, o.cacheTo), func(s string) bool { return strings.Contains(s, "type=inline") }) {
		all = append(all, "type=inline of --cache-from and --cache-to has no effect: use type=registry, which has an entry for each step")
	}
	return all
}

// refuse says no to what would be silently missing otherwise.
func (o *buildOptions) refuse() error {
	if o.cgroup != "" {
		return usageError{hint.Errorf("start gbuild itself in that cgroup, for instance with systemd-run --scope --slice=NAME", "--cgroup-parent: gbuild puts no RUN into a cgroup of its own")}
	}
	wanted := map[string]string{"--sbom": o.sbom, "--provenance": o.provenance}
	for _, s := range o.attest {
		fields, err := csvFields(s)
		if err != nil || fields["type"] != "sbom" && fields["type"] != "provenance" {
			return usagef("--attest %s: it is type=sbom or type=provenance, with options", s)
		}
		if !truthy(fields["disabled"]) {
			wanted["--attest "+s] = s
		}
	}
	for flag, value := range wanted {
		if truthy(value) && (!strings.Contains(value, "mode=") || strings.Contains(flag, "sbom")) {
			return usageError{hint.Errorf("leave it out, or give --provenance=false --sbom=false", "%s: attestations are not supported yet", flag)}
		}
	}
	return nil
}

// readArgFiles returns the lines of --build-arg-file as --build-arg has them; # begins a comment line.
func readArgFiles(files []string, read fileReader) (list []string, err error) {
	for _, name := range files {
		text, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("reading --build-arg-file: %w", err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if strings.HasPrefix(line, "=") {
				return nil, usagef("%s:%d: %q: it is NAME=VALUE", name, n, line)
			}
			list = append(list, line)
		}
	}
	return list, nil
}
