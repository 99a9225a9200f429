// Command gbuild builds container images from Dockerfiles without a daemon and without root, and runs them.
//
// # How a command is put together
//
// Arrows go one way: main, the commands, internal/cli. main.go makes the App, lists the commands, and turns the error of the
// one that ran into an exit code. Each command has a file that is called as it is, with a constructor newXCommand(a). That
// one returns the words of the help, registers the flags in a struct of the command, and hands all three (the context, the
// App, the flags) to a plain function, which does the work. What every command has from its process is in internal/cli; what
// several have in common for another reason is in a package of its own: internal/building carries out a build that is given as
// options, internal/running does so with a container, internal/bases finds images, internal/output writes them, pkg/container
// keeps what runs. A command that speaks the words of another program fills in such options, and runs them.
//
// # How to add one
//
// A command: a file with a constructor, a line in newRootCommand, a script in testdata/script, and an example, without which a
// test fails. A flag of a build or of a run: see the package of its options. What a flag may say is checked before anything is read or made, and
// refused by cli.Usagef, so that the exit code is 2.
//
// # What is never done here
//
// A command makes no decision of a build or of a sandbox: it reads words, and calls the package that decides. It prints by
// the streams of the App only, and asks the environment by its Environ. It does not end the process: it returns an error,
// with a hint where the user can do something, or an ExitStatus where all has been said.
package main
