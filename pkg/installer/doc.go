// Package installer is what gbuild knows of package managers: pip, uv, apt, conda and npm, and the programs that call
// them. It is knowledge only: names, sub-commands, variables, places, and how lines and files of theirs read. It runs
// nothing, opens nothing, and imports nothing of a build.
//
// # Nouns
//
// A Tool is a package manager that can keep what it fetches in a cache. Its Cache says how it is told where that is, what
// turns it off, and where it lies when nobody says anything.
//
// A Program is a command that fetches packages. Several use the cache of one Tool: pipx, tox and python -m build call pip.
// Some have a cache of another kind and are given none; they say why (Own). A few start another command and stand in front
// of it: uv run, conda run, poetry run. Their Runner says where that other command begins.
//
// A Call is a Program as a command line has it: the canonical name, without path and version, and the arguments. It
// answers the questions that a build asks: does it fetch by the cache of a tool, is it about the cache itself?
//
// # One file for each tool
//
// pip.go, uv.go, apt.go, conda.go and npm.go each hold what is known of one tool. To add a tool, write such a file, in the
// forms of tool.go, and name the tool in registry.go: the readers of shell text (pkg/shell), the caches of a RUN
// (pkg/caching) and the hints (pkg/dockerfile) go by what is registered. What several tools of Python share is in
// python.go: names of Pythons, and the modules that they run.
//
// # What is never done here
//
// Nothing here reads shell text: words come without quotes, and Unknown stands in them for what only the shell knows.
// Nothing decides what a build does: which cache is leased, and for whom, is a matter of pkg/build.
package installer
