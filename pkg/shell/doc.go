// Package shell says which commands the shell text of a RUN calls, as far as the text shows it without running it.
//
// # Nouns
//
// A Command is what a RUN executes: arguments, environment, directory, user, the files of its heredocs, and the scripts
// among the files of the image that it calls. A Text is a piece of it that a shell reads.
//
// A Call is one simple command in such a text: its words, the assignments before it, and where it stands. A Word has its
// value without quotes; installer.Unknown stands in it for what only the shell knows, such as the value of a variable that
// no text sets. It also knows its place in the text, so that others can change the text there and nowhere else.
//
// What a call comes to is not its first word. Wrappers stand in front of commands: sudo, timeout, env, xargs, conda run,
// bash -c. They are taken off one after another until the Program is found that runs in the end. A wrapper may be a
// Barrier: it clears the environment, or runs the program as another user, and then a cache that the RUN is given does
// not reach the program, or must not.
//
// # How they meet
//
// Command.Calls takes each Text to a reader (reader.go), which parses it and walks its commands. Their words are expanded
// (expand.go), and then understood (meaning.go): wrappers.go knows what stands before a command, python.go what a Python
// runs. What a call gives to another shell, as a word, in a heredoc or by a pipe, is read in turn (inner.go), as are the
// scripts that it executes (script.go).
//
// # What is never done here
//
// No text is executed, no file is opened: who has the files of an image hands the texts of scripts in. No text is changed.
// What is not understood is no call, and never an error: a Dockerfile may hold text for another shell. Which programs
// fetch packages, and what their words mean, is pkg/installer's.
package shell
