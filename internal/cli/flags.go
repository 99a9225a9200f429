// This file owns the forms that values of flags have: lists, k=v,k=v, NAME=VALUE and switches.

package cli

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
)

// List is the value of a flag that may be repeated. pflag's own takes a CSV writer with its buffer of 4 kB for the default
// of each such flag, whatever command is called.
type List []string

// Set implements pflag.Value.
func (l *List) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// String implements pflag.Value.
func (l *List) String() string { return strings.Join(*l, ",") }

// Type implements pflag.Value, and is what help shows.
func (l *List) Type() string { return "stringArray" }

// Fields reads k=v,k=v as buildx does: quotes around a field, a bare word is k=true.
func Fields(s string) (map[string]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	words, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	fields := map[string]string{}
	for _, f := range words {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			v = "true"
		}
		fields[strings.ToLower(strings.TrimSpace(k))] = v
	}
	return fields, nil
}

// Pairs reads NAME=VALUE flags.
func Pairs(flag string, words []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range words {
		name, value, ok := strings.Cut(s, "=")
		if name == "" || !ok && flag != "--label" {
			return nil, Usagef("%s %q: it is NAME=VALUE", flag, s)
		}
		m[name] = value
	}
	return m, nil
}

// Truthy says whether a word switches something on.
func Truthy(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// OneOf checks the value of a flag that is one of several words.
func OneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return Usagef("%s %s: it is one of %s", flag, value, strings.Join(words, ", "))
}
