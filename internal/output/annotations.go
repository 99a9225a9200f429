// This file owns annotations as the command line gives them. Only the manifest can have some: there is no index.

package output

import (
	"fmt"
	"strings"
)

// annotate reads annotation[-LEVEL][[PLATFORM]].KEY=VALUE.
func (out *Output) annotate(key, value string) error {
	level, name, ok := strings.Cut(key, ".")
	if !ok || name == "" {
		return fmt.Errorf("annotation%s: it is annotation.NAME=VALUE", key)
	}
	if err := annotationLevel(strings.TrimPrefix(level, "-")); err != nil {
		return err
	}
	if out.annotations == nil {
		out.annotations = map[string]string{}
	}
	out.annotations[name] = value
	return nil
}

// annotationLevel refuses annotations of what a build for one platform does not have.
func annotationLevel(level string) error {
	level, _, _ = strings.Cut(level, "[")
	switch level {
	case "", "manifest":
		return nil
	case "index", "index-descriptor", "manifest-descriptor":
		return fmt.Errorf("annotations of level %s need an index, and a build for one platform makes none", level)
	}
	return fmt.Errorf("annotation level %q: it is manifest", level)
}

// ParseAnnotations reads --annotation [LEVEL:]NAME=VALUE.
func ParseAnnotations(list []string) (map[string]string, error) {
	all := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if levels, rest, has := strings.Cut(name, ":"); has && !strings.ContainsAny(levels, "./") {
			for _, level := range strings.Split(levels, ",") {
				if err := annotationLevel(level); err != nil {
					return nil, fmt.Errorf("--annotation %s: %w", s, err)
				}
			}
			name = rest
		}
		if !ok || name == "" {
			return nil, fmt.Errorf("--annotation %q: it is NAME=VALUE", s)
		}
		all[name] = value
	}
	return all, nil
}
