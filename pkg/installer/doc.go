// Package installer is what gbuild knows of package managers: pip, uv, apt, conda and npm, and the programs that call
// them. It is knowledge only: names, sub-commands, variables, places, and the forms of their lines and files.
//
// A Tool is a package manager that can keep what it fetches in a Cache. A Program is a command that fetches packages.
// Several use the cache of one Tool: pipx and tox call pip. Some have a cache of another kind, and say so (WhyNoCache). A Program
// that starts another command, as uv run does, has a Runner. A Call is a Program as a command line has it, and answers what
// a build asks: does it fetch by the cache of a tool, or is it about the cache itself?
//
// Each tool has a file of its own. To add one, write such a file, in the forms of tool.go, and name the tool in
// registry.go: the readers of shell text (pkg/shell), the caches of a RUN (pkg/caching) and the hints (pkg/dockerfile) go
// by what is registered. What the tools of Python share is in python.go, requirements.go, wheel.go and installed.go.
//
// Nothing here runs, opens or reads shell text: words come without quotes, with Unknown for what only the shell knows.
// What a build does with a cache, and for whom it leases one, is a matter of pkg/toolcache.
package installer
