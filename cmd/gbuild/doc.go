// Command gbuild builds container images from Dockerfiles without a daemon and without root, and runs them.
//
// # How a command is put together
//
// Arrows go one way: main, the commands, internal/cli. main.go makes the App, lists the commands, and turns the error of the
// one that ran into an exit code. Each command has a file that is called as it is, with a constructor newXCommand(a). That
// one returns the words of the help, registers the flags in a struct of the command, and hands all three (the context, the
// App, the flags) to a plain function, which does the work. What every command has from its process is in internal/cli; what
// several have in common for another reason is in a package of its own: internal/bases finds images, internal/output writes
// them, pkg/container keeps what runs.
//
// The two large commands are divided into rooms. A room is a file with the flags of one matter: a struct with add, which
// registers them, and a function that reads them once and says what they mean.
//
//	gbuild build   build.go puts the rooms together. Each fills its part of build.Request.
//	               build_source  Dockerfile, contexts, arguments, base images; build_input opens them
//	               build_cache   what earlier builds left, here and in shared caches; build_mounts, build_tools
//	               build_steps   the place where a RUN is executed; build_devices, build_secrets, build_ssh
//	               build_output  names, outputs, layers, and what is said of them
//	               build_docker  flags of docker build that have no effect, or are refused
//	               call          what is reported instead of a build
//	gbuild run     run.go says how its processes follow each other. Each room of run_*.go fills its part of the sandbox.
//
// # How to add one
//
// A command: a file with a constructor, a line in newRootCommand, a script in testdata/script, and an example, without which a
// test fails. A flag of a build: a field in its room, a line in add, its meaning in fill or parse, and a line in
// docs/dockerfile.md, which a test compares. An output: a row and a function in a file of internal/output. What a flag may
// say is checked before anything is read or made, and refused by cli.Usagef, so that the exit code is 2.
//
// # What is never done here
//
// A command makes no decision of a build or of a sandbox: it reads words, and calls the package that decides. It prints by
// the streams of the App only, and asks the environment by its Environ. It does not end the process: it returns an error,
// with a hint where the user can do something, or an ExitStatus where all has been said.
package main
