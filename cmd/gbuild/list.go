package main

import "strings"

// list is the value of a flag that may be repeated. pflag's own takes a CSV writer with its buffer of 4 kB for the default
// of each such flag, whatever command is called.
type list []string

// Set implements pflag.Value.
func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// String implements pflag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value, and is what help shows.
func (l *list) Type() string { return "stringArray" }
