// Package building is a build as the words of a command line say it: Options are data, and Run carries them out.
//
// # Who has what
//
// Options have a part for each matter. A part is a struct whose exported fields are what a user can say, in the user's own
// words; Flags, which registers the flags of gbuild build for them; and fill or parse, which reads them once and says what they
// mean. Each fills its part of build.Request.
//
//	Source   Dockerfile, contexts, arguments, base images; input.go opens them
//	Caches   what earlier builds left, here and in shared caches; with Mounts and Tools
//	Steps    the place where a RUN is executed; with Devices and Credentials
//	Outputs  names, outputs, layers, and what is said of them
//	Call     what is reported instead of a build
//	Docker   flags of docker build that have no effect, or are refused
//
// # How another command line becomes a build
//
// It begins with New, which has the defaults, sets the fields that its words mean, and calls Run; or it takes a part's flags as
// they are. What a field may say is checked by Run, before anything is read or made, and refused by cli.Usagef, with the name
// that the flag has with gbuild build. The Result is nil where another process has gone on with the command line, so what is
// to be done with it is done once.
//
// # How to add a flag of a build
//
// A field in its part, its default in New if it has one, a line in Flags, its meaning in fill or parse, and a line in
// docs/dockerfile.md, which a test compares. An output: a row and a function in a file of internal/output.
//
// # What is never done here
//
// This package decides nothing that a build decides: it reads words, and calls the package that does. It prints by the streams
// of the App only, asks the environment by its Environ, and ends no process.
package building
