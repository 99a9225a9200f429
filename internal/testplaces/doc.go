// Package testplaces makes the places in which people start builders, and builds in each of them with the binary that users
// get: as root and as other users, without subordinate ids, without capabilities, behind filters of system calls, in
// containers of Docker and of podman, with the state on file systems that lack something.
//
// A place is a row of the table in places_test.go: commands around the command, outermost first, and what three
// Dockerfiles come to there: (a) has no RUN, (b) has one that any sandbox can execute, (c) makes users, gives files away, keeps
// a cache and goes on as another user. What is built is looked at in the registry, by the owners of its files. What is refused must
// say cause and remedy. gbuild doctor is asked in each place, too, and must say the same as the build.
//
// In some of the places larger Dockerfiles are built, too, and compared file by file: who a file belongs to, and what may be done with
// it, must be the same wherever it was made.
//
// It imports nothing of gbuild but what makes bases and registries: a place knows programs and their words, and no package.
// The page docs/where-it-runs.md is written from the table.
package testplaces
