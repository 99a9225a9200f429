package dockerfile

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options are what a build adds to the text of a Dockerfile.
type Options struct {
	Target string // name or index of the stage to build; empty: the last one

	// Args are the --build-arg values by name.
	Args map[string]string

	// Contexts are the --build-context values by name. The values docker-image://REF and oci-layout://PATH make images
	// of the name; every other one is opened by the caller when a Source of kind Context names it.
	Contexts map[string]string

	Platform      v1.Platform       // what is built for; the zero value is BuildPlatform
	BuildPlatform v1.Platform       // what this machine is
	Labels        map[string]string // --label; they win over the Dockerfile's
	Network       string            // network of a RUN that names none: "" (private), "none" or "host"
	Hostname      string            // of RUN's sandbox; empty: "buildkitsandbox"
}

// Plan is a parsed Dockerfile. Stages are in the order of the file; which of them a target needs follows from
// resolving it (an image's ONBUILD triggers can add some), so the caller walks from Target.
type Plan struct {
	Name     string // of the Dockerfile, for messages
	Source   []byte
	Stages   []*Stage
	Target   *Stage
	Warnings []Warning // found so far; Resolve adds those that need the config of a base
	Epoch    *int64    // SOURCE_DATE_EPOCH in Unix seconds, from an option or a global ARG
}

// Warning is one finding of a lint rule.
type Warning struct {
	Rule, Message, URL string
	Location           Location
}

// Location is a range of lines of the Dockerfile, 1-based and inclusive. The zero value is unknown.
type Location struct{ Start, End int }

// SourceKind says what a Source is.
type SourceKind int

// The kinds of Source.
const (
	FromContext SourceKind = iota // the build context (Name is empty) or the named context Name
	FromStage                     // the result of Stage
	FromImage                     // the files of the image Name (a registry reference, "oci:PATH[:TAG|@DIGEST]")
	FromScratch                   // nothing
)

// Source is a place that files, or a base, come from.
type Source struct {
	Kind     SourceKind
	Name     string
	Stage    *Stage
	Platform v1.Platform // of an image
}

// Stage is one FROM and its instructions.
type Stage struct {
	Index    int
	Name     string // lower case; empty without AS
	Base     Source
	Location Location
	// unexported: its instructions and the scope of its ARGs
}
