// Package build walks a Plan: it keys each Step, runs those whose result is not stored, assembles the image, and reports
// Events while it does.
//
// # The way of a build
//
// A caller fills a Builder, which all builds of a process share, and a Request, and calls Build (build.go). That resolves all
// stages first: their steps and configs are decided before anything runs (resolve.go). Then the walker goes from stage to
// stage and from step to step, stages side by side (walk.go). Each step becomes a work, which is named by what it depends on
// (recipes.go, digest.go), looked for under these names, and made where it is not there (execute.go): a RUN in a sandbox
// (sandbox.go, mounts.go), a COPY or a WORKDIR by pkg/files, into a draft or as a layer (pack.go). Layers of finished states
// are made beside the steps that follow (exports.go), and an assembler puts the image together at the end (assemble.go).
//
// # Who has what
//
// A work has parts, which all steps of one build have in common (parts.go), and each of which keeps its own state:
//   - events: the lines of work that displays draw;
//   - resolver: the stages of the plan, and the warnings of it;
//   - bases, contexts, sources: images, build contexts, and whatever else a step takes files from;
//   - names: what recipes led to, here and for other machines;
//   - states: how each state was made, and that its files are here when they are read;
//   - sealed: states whose files nobody may make here;
//   - exports and indexes: the layers of states, and what is known of files that are not here;
//   - caches: the shared caches of the build (package sharedcache); runs: what its RUNs share.
//
// What runs beside the rest, and results that many wait for and one computes, are those of internal/tasks. Why a step runs, and why
// its command failed, is put into words by package reasons.
//
// # The states of a step
//
// One word is one thing:
//   - known: its result was found, so that it need not run. A result is found here (find) or in a shared cache (imported).
//   - stored: the state is in the store, with its files or with its layer only.
//   - layered: only the layers of the state are here; what they stand on was never fetched, or is gone.
//   - imported: the layers of the state are known, and its files are brought here when something reads them.
//   - packed: the layer was written from the sources, and no file was made.
//   - unread: nothing that follows in this build reads the files of the result; its layer suffices.
//   - lower: what a layer is written over: the files of the state before, nothing for a COPY --link, or what indexes say.
//   - sealed: known by the indexes of its layers; its files are read out of these one by one, and none is made. So are all states
//     of a process without a namespace (sealed.go).
//   - floating: made in a draft over nothing, so that only the layers of it stay.
//   - linked: of a COPY --link, and so the same whatever it stands on. Layers of it are made alone: with all files, also those
//     that are the same below.
//   - rerun: asked for by --no-cache; what is stored does not count, and the result gets a nonce.
//   - guessing: the step is only named, and nothing may run for that. A state is expected while its stage has not run, and
//     finished when it has.
//   - claimed: a shared cache has said what a step reads; settled: what it reads is here, and nobody need be asked.
//   - distrusted: a tool whose cache made the RUN fail; the RUN is executed once more with an empty one in its place.
//
// # What is never done here
//
// This package prints nothing and reads no environment. It opens no registry: images come in by Builder.Fetch, and entries of
// shared caches by functions of sharedcache.Cache. It asks nobody for rights: where the process may not do what a step needs, the
// error is ErrNeedsNamespace, and the caller says why the process has none (namespace.go).
// What a key is made of (key.go, internal/recipe) decides what older stores are good for: a change of it needs a new version.
package build
