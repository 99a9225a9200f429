// Package reasons puts into words why a step runs and why its command failed.
//
// Facts are what a step depends on, by names that a user knows; Facts.Since says what of it has changed. A RunError is a RUN whose
// command failed, with what to try, as far as the step and the files that it saw show a cause.
//
// Nothing here knows a build, keeps anything, or prints. No value of an argument and no content of a file is in Facts: they are
// hashes.
package reasons
