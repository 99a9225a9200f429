// Package dockerfile turns a Dockerfile into a Plan, and a Stage plus the config of its base into Steps and a config.
// It is pure: it opens no file, asks no network and reads no environment, so that everything it decides can be tested
// with values. The language is BuildKit's (frontend 1.28); its parser, instructions, shell and linter packages do the
// reading, and this package does what BuildKit's dockerfile2llb does after them.
//
// # Nouns
//
// A Plan is a parsed Dockerfile: its Stages in their order, and the one that is the target. A Stage is a FROM and its
// instructions. A Source is a place that files or a base come from: a context, a stage, an image, or nothing.
//
// A Step is an instruction after expansion that changes files: Run, Copy (COPY and ADD) or Mkdir (WORKDIR). All other
// instructions change the config only. A Resolved has the Steps of a stage and the config of the image that it makes.
//
// A Warning is a finding of a lint rule. Most rules are BuildKit's; gbuild's own are hints (hintrules.go), which advise and
// never fail a build. An Error names the line, the cause and, as its hint, what the user can do.
//
// # How they meet
//
// Parse reads the text (parse.go), evaluates the ARGs above the first FROM (globals.go), expands each FROM (stage.go), and
// finds what it names (source.go). That is all that can be said without an image. Stage.Resolve (resolve.go) then takes the
// config of the base and goes through the instructions of the stage. A resolver (resolver.go) holds what they change:
// configure.go has those that change the config only, args.go ARG and WORKDIR, expose.go, copy.go and run.go the others.
//
// What a RUN calls is read by pkg/shell, and what package managers are by pkg/installer; calls.go joins them to Run, for
// the hints (hints.go) and for the caches that a build gives.
//
// # How a file knows others
//
// The files know each other in one direction. At the bottom are data: finding.go, step.go, plan.go, variables.go,
// captured.go, scope.go. Above them are what can fail and warn (error.go, lint.go), then the resolver with its
// instructions, and at the top parse.go and resolve.go.
//
// # What is never done here
//
// Nothing is executed, and nothing is fetched: where only an image could tell, as for the name of a user, the text is
// handed on as it is written. The history and the Steps hold no credentials of addresses (redact.go). No text makes more
// than a bounded amount of memory, however its variables double each other (expand.go).
package dockerfile
