// Package kaniko is the command line of kaniko's executor, so that a pipeline which was written for it changes its image and
// nothing else. It says of each flag what it means here, and makes a build's options of them all.
//
// # Nouns
//
// A Line is what a command line of kaniko says: a field for each thing that can be said. Flags is the table of its flags, in
// which each has its name, its default, its field, and a sentence on what it does here; help, docs/from-kaniko.md and the
// notices about flags without effect are made of that table, or held against it. Run turns a Line into building.Options, has
// them carried out, and writes the files in which kaniko tells a script what it has built.
//
// # Who has what
//
//	flags.go, given.go   the table, and what was given on the command line and by the environment
//	options.go           a Line as options of a build
//	contexts.go          where contexts and Dockerfiles are, in kaniko's words and in ours
//	registries.go        how far registries are trusted, their certificates and mirrors
//	receipts.go          files with digests
//	credentials.go       what is asked where config.json has no login
//	run.go               the order
//
// # What is never done here
//
// No build is done here, and nothing is fetched or pushed: that is building's. A flag that cannot be honoured is refused by
// its name, with the way to do the same; one that has become needless is taken, and said to have no effect.
package kaniko
