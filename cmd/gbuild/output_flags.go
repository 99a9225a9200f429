package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/pkg/layers/codec"
)

// output is one -o.
type output struct {
	kind, dest, name string
	insecure         bool
	docker           bool              // oci-mediatypes=false
	annotations      map[string]string // of the manifest
	compression      *codec.Compression
	split            bool // platform-split: the files go into a directory named for the platform
	byDigest         bool // push-by-digest: the image gets no tag
	delete           bool // mode=delete: what else is in the directory goes
	fields           map[string]string
}

// exporterOptions are the options of -o by type; image is what all types that write an image have.
var exporterOptions = map[string][]string{
	"local":     {"dest", "platform-split", "mode", "attestation-prefix"},
	"tar":       {"dest", "platform-split", "attestation-prefix"},
	"oci":       {"dest", "tar", "name"},
	"docker":    {"dest", "name", "context"},
	"image":     {"name", "push", "push-by-digest", "registry.insecure", "name-canonical", "unpack", "store", "dangling-name-prefix"},
	"registry":  {"name", "push", "push-by-digest", "registry.insecure", "name-canonical", "unpack", "store", "dangling-name-prefix"},
	"cacheonly": {},
}

var imageOptionNames = []string{"compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp",
	"prefer-nondist-layers", "attestation-inline"}

func parseOutputs(o *buildOptions, names []string) ([]output, error) {
	var outputs []output
	stdout := 0
	for _, s := range o.outputs {
		out, err := parseOutput(s)
		if err != nil {
			return nil, err
		}
		if out.dest == "-" {
			stdout++
		}
		outputs = append(outputs, out)
	}
	if stdout > 1 {
		return nil, usagef("--output: only one can be written to standard output")
	}
	if o.push {
		outputs = append(outputs, output{kind: "registry"})
	}
	for _, out := range outputs {
		if out.kind == "registry" && out.name == "" && len(names) == 0 {
			return nil, usageError{hint.Errorf("add -t REGISTRY/NAME:TAG", "there is no name to push to")}
		}
	}
	if onlyFiles(outputs) && o.iidfile != "" {
		return nil, usagef("--iidfile: outputs of type local, tar and cacheonly make no image, so there is no id")
	}
	_, err := compressionOf(o, outputs)
	return outputs, err
}

func parseOutput(s string) (output, error) {
	if s == "-" {
		return output{kind: "tar", dest: "-"}, nil
	}
	if !strings.Contains(s, "=") {
		dest, err := filepath.Abs(s)
		return output{kind: "local", dest: dest}, err
	}
	fields, err := csvFields(s)
	if err != nil {
		return output{}, usagef("--output: %w", err)
	}
	out := output{kind: fields["type"], dest: fields["dest"], name: fields["name"], fields: fields}
	if _, known := exporterOptions[out.kind]; !known {
		return out, usagef("--output: unknown type %q; it is %s", out.kind, strings.Join(slices.Sorted(maps.Keys(exporterOptions)), ", "))
	}
	if err := out.setOptions(); err != nil {
		return out, usagef("--output type=%s: %w", out.kind, err)
	}
	return out, out.setPlace()
}

// setOptions reads what all outputs, and those of images, can be told.
func (out *output) setOptions() error {
	image := !slices.Contains([]string{"local", "tar", "cacheonly"}, out.kind)
	for _, key := range slices.Sorted(maps.Keys(out.fields)) {
		value := out.fields[key]
		switch {
		case key == "type" || slices.Contains(exporterOptions[out.kind], key):
		case image && strings.HasPrefix(key, "annotation"):
			if err := out.annotate(strings.TrimPrefix(key, "annotation"), value); err != nil {
				return err
			}
		case image && slices.Contains(imageOptionNames, key):
		case key == "source-date-epoch":
			return hint.Errorf("give --source-date-epoch "+value, "source-date-epoch is for all outputs")
		default:
			return fmt.Errorf("unknown option %q", key)
		}
	}
	switch mode := out.fields["mode"]; mode {
	case "", "copy":
	case "delete":
		out.delete = true
	default:
		return fmt.Errorf("mode=%s: it is copy or delete", mode)
	}
	for key, to := range map[string]*bool{"registry.insecure": &out.insecure, "platform-split": &out.split, "push-by-digest": &out.byDigest} {
		if err := setBool(out.fields, key, to); err != nil {
			return err
		}
	}
	oci := true
	if err := setBool(out.fields, "oci-mediatypes", &oci); err != nil {
		return err
	}
	out.docker = !oci
	return out.setCompression()
}

func setBool(fields map[string]string, key string, to *bool) (err error) {
	if value, ok := fields[key]; ok {
		if *to, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%s=%s: it is true or false", key, value)
		}
	}
	return nil
}

// annotate reads annotation[-LEVEL][[PLATFORM]].KEY=VALUE.
func (out *output) annotate(key, value string) error {
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

// parseAnnotations reads --annotation [LEVEL:]NAME=VALUE.
func parseAnnotations(list []string) (map[string]string, error) {
	all := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if levels, rest, has := strings.Cut(name, ":"); has && !strings.ContainsAny(levels, "./") {
			for _, level := range strings.Split(levels, ",") {
				if err := annotationLevel(level); err != nil {
					return nil, usagef("--annotation %s: %w", s, err)
				}
			}
			name = rest
		}
		if !ok || name == "" {
			return nil, usagef("--annotation %q: it is NAME=VALUE", s)
		}
		all[name] = value
	}
	return all, nil
}

// setPlace finds out where the output goes.
func (out *output) setPlace() (err error) {
	switch out.kind {
	case "registry":
		return nil
	case "image":
		push := false
		if err := setBool(out.fields, "push", &push); err != nil {
			return usagef("--output type=image: %w", err)
		}
		if out.kind = "name"; push {
			out.kind = "registry"
		}
		return nil
	case "cacheonly":
		return nil
	}
	if out.dest == "" && out.kind == "local" {
		return usagef("--output type=local: dest=DIR is missing")
	}
	if out.dest == "" || out.dest == "-" {
		out.dest = "-"
		return nil
	}
	if out.dest, err = filepath.Abs(out.dest); err == nil && out.delete {
		err = out.spareWork()
	}
	return err
}

// spareWork refuses to empty a directory that somebody works in: mode=delete with dest=. would remove the sources.
func (out *output) spareWork() error {
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(out.dest, here); err == nil && filepath.IsLocal(rel) {
		return usagef("--output type=local: mode=delete would remove the other files of %s, where you are working", out.dest)
	}
	return nil
}

// readsFiles says that an output is the files of the result.
func readsFiles(outputs []output) bool {
	return slices.ContainsFunc(outputs, func(o output) bool { return o.kind == "local" || o.kind == "tar" })
}

// onlyFiles says that no output needs an image.
func onlyFiles(outputs []output) bool {
	for _, o := range outputs {
		if o.kind != "local" && o.kind != "tar" && o.kind != "cacheonly" {
			return false
		}
	}
	return len(outputs) > 0
}
