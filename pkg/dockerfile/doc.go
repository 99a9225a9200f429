// Package dockerfile turns a Dockerfile into a Plan, and a Stage plus the config of its base into Steps and a config.
// It is pure: it opens no file, asks no network and reads no environment, so that everything it decides can be tested
// with values. The language is BuildKit's (frontend 1.28); its parser, instructions, shell and linter packages do the
// reading, and this package does what BuildKit's dockerfile2llb does after them.
package dockerfile
