// This file owns the data of a parsed Dockerfile: the Plan, its Stages, and the Sources that they name.

package dockerfile

import (
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/gbuild/gbuild/pkg/installer"
)

// Options are what a build adds to the text of a Dockerfile.
type Options struct {
	Target string // name or index of the stage to build; empty: the last one

	// Args are the --build-arg values by name.
	Args map[string]string

	// Contexts are the --build-context values by name. The values docker-image://REF and oci-layout://PATH make images
	// of the name; every other one is opened by the caller when a Source of kind Context names it. A name may end in
	// ::PLATFORM, and then counts for that platform only.
	Contexts map[string]string

	Platform      v1.Platform       // the platform of the image; the zero value is BuildPlatform
	BuildPlatform v1.Platform       // the platform of this machine
	Labels        map[string]string // --label; they win over the Dockerfile's
	Network       string            // network of a RUN that names none: "" (private), "none" or "host"

	// AutoCache are the tools that the build gives a cache where the Dockerfile has none: what hints say depends on it.
	AutoCache []installer.Tool

	// Ignore are the patterns of the build context's .dockerignore. They serve the rule CopyIgnoredFile only.
	Ignore []string
}

// Plan is a parsed Dockerfile. It is data that Parse fills in; later only SetEpoch changes it, and Resolve notes what child
// stages inherit. Stages are in the order of the file; which of them a target needs follows from resolving it (an image's
// ONBUILD triggers can add some), so the caller walks from Target.
type Plan struct {
	// Name is the Dockerfile's in messages, and Source its text.
	Name   string
	Source []byte
	Stages []*Stage
	Target *Stage

	// Warnings are those found so far; Resolve adds those that need the config of a base.
	Warnings []Warning

	// Epoch is SOURCE_DATE_EPOCH in Unix seconds, from an option or a global ARG.
	Epoch *int64

	// EpochSource is where SOURCE_DATE_EPOCH is to be taken from, when it names a context ("context" is the build
	// context) or a stage instead of a number. The caller finds the time and calls SetEpoch before the first Resolve.
	EpochSource *Source

	// opts are what Parse was given. args are its Args, without the names that this package reads where they mean
	// nothing; contexts lead from the normalised name of a named context to its key in opts.Contexts.
	opts     Options
	args     map[string]string
	contexts map[string]string

	// platform is the target's, in its normal form; implicit says that nobody asked for one.
	platform v1.Platform
	implicit bool

	// escape is the character that continues lines.
	escape rune

	// global are the predefined and the global ARGs, globalDoc the latter as the outline shows them. expanded counts what
	// all variables came to.
	global    *variables
	globalDoc []declaration
	expanded  expansion

	// check is what the Dockerfile or an option says of lint rules; ignore serves one of them.
	check  *linter.Config
	ignore ignorer
}

// Platform is what is built for, in its normal form.
func (p *Plan) Platform() v1.Platform { return p.platform }

// CacheNamespace parts the caches of builds that share nothing: BUILDKIT_CACHE_MOUNT_NS.
func (p *Plan) CacheNamespace() string { return p.args["BUILDKIT_CACHE_MOUNT_NS"] }

// SourceKind says what a Source is.
type SourceKind int

// The kinds of Source.
const (
	FromContext SourceKind = iota // the build context (Name is empty) or the named context Name
	FromStage                     // the result of Stage
	FromImage                     // the files of the image Name (a registry reference, "oci:PATH[:TAG|@DIGEST]")
	FromScratch                   // nothing
)

// Source is a place that files, or a base, come from. Whether it is there is for the caller to find out.
type Source struct {
	Kind  SourceKind
	Name  string
	Stage *Stage

	// Platform is what an image is wanted for.
	Platform v1.Platform

	// Named says that a --build-context says what the name means.
	Named bool
}

// Stage is one FROM and its instructions. What it is based on is known after Parse; what its instructions come to, only
// with the config of the base: see Resolve.
type Stage struct {
	Index    int
	Name     string // lower case; empty without AS
	Base     Source
	Location Location

	// Description is the comment above FROM that begins with the name of the stage, as --call=targets shows it.
	Description string

	// BaseStartInterval is the health check's StartInterval of the base image, for which v1.Config has no field (see
	// StartInterval). The caller sets it before Resolve; a base that is a stage needs nothing.
	BaseStartInterval time.Duration

	plan *Plan

	// nodes are the instructions, FROM not included; a stage that is replaced by a named context has none that count.
	nodes    []*parser.Node
	replaced bool

	// origin is where FROM stands, and comments are those directly above it. baseText and flagText are what it names and
	// its --platform, as they are written; platform is the latter, when it is given.
	origin   []parser.Range
	comments []string
	baseText string
	flagText string
	platform *v1.Platform

	// usedArgs are the global ARGs that FROM has used.
	usedArgs map[string]bool

	// scope is what a stage that is built on this one inherits, and outline what was seen of ARGs, secrets and SSH
	// sockets; both are from the last Resolve.
	scope   *scope
	outline *captured
}

// stageNamed returns the last stage of that name among the first before ones.
func (p *Plan) stageNamed(name string, before int) *Stage {
	for i := min(before, len(p.Stages)) - 1; i >= 0; i-- {
		if s := p.Stages[i]; s.Name != "" && strings.EqualFold(s.Name, name) {
			return s
		}
	}
	return nil
}

// stageTitle is the name of a stage, or its number.
func (p *Plan) stageTitle(i int) string {
	if i < len(p.Stages) && p.Stages[i].Name != "" {
		return p.Stages[i].Name
	}
	return fmt.Sprintf("stage-%d", i)
}
