// Package internal_test holds the arrows between the packages: who may import whom, and why.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gbuild/gbuild/"

// arrows are the packages of this module that each package may import outside its tests. "*" is all.
var arrows = map[string]struct {
	may []string
	why string
}{
	"cmd/gbuild": {[]string{"*"}, "it wires everything together"},
	"pkg/dockerfile": {[]string{"internal/hint", "internal/lazyregexp", "pkg/caching", "pkg/installer", "pkg/shell"},
		"it turns text into data and touches nothing"},
	"pkg/installer": {[]string{"internal/lazyregexp"}, "it is what is known of package managers, whoever asks"},
	"pkg/shell":     {[]string{"pkg/installer"}, "it says what a text calls, and cares neither for Dockerfiles nor for caches"},
	"pkg/caching":   {[]string{"internal/lazyregexp", "pkg/installer", "pkg/shell"}, "it turns a command into one with a cache, and opens none"},
	"pkg/build": {[]string{"internal/hint", "internal/lazyregexp", "internal/madeimage", "internal/recipe", "internal/sshagent", "internal/tasks", "pkg/build/reasons", "pkg/build/sharedcache", "pkg/dockerfile", "pkg/files", "pkg/installer",
		"pkg/layers", "pkg/layers/codec", "pkg/layers/rootfs", "pkg/layers/split",
		"pkg/pipcache", "pkg/remote", "pkg/runtime", "pkg/runtime/host", "pkg/runtime/network", "pkg/toolcache"},
		"it walks the plan; images come in through Builder.Fetch, so that tests need no registry"},
	"pkg/build/reasons": {[]string{"internal/lazyregexp", "pkg/dockerfile", "pkg/files", "pkg/layers/rootfs", "pkg/runtime", "pkg/toolcache"},
		"it words what is known of a step, and neither builds nor keeps anything"},
	"pkg/build/sharedcache": {[]string{"internal/madeimage", "internal/recipe", "pkg/layers"}, "it reads and writes entries, and knows neither builds nor registries"},
	"pkg/toolcache": {[]string{"internal/lazyregexp", "internal/recipe", "pkg/caching", "pkg/dockerfile", "pkg/installer", "pkg/layers", "pkg/layers/rootfs",
		"pkg/layers/snapshotter", "pkg/pipcache", "pkg/runtime", "pkg/shell"},
		"it gives the tools of a RUN caches and knows neither stages nor states"},
	"pkg/files": {[]string{"internal/durable", "internal/hint", "internal/statedir", "pkg/dockerfile", "pkg/layers", "pkg/layers/codec", "pkg/layers/rootfs", "pkg/remote", "pkg/runtime"},
		"it reads and places files and knows neither plans nor keys"},
	"pkg/remote": {[]string{"internal/hint", "internal/lazyregexp", "internal/netguard", "pkg/dockerfile", "pkg/layers"},
		"it fetches what lies elsewhere and knows neither images nor steps"},
	"pkg/layers": {[]string{"internal/durable", "internal/hint", "internal/statedir", "pkg/installer", "pkg/layers/codec", "pkg/layers/growing", "pkg/layers/lease", "pkg/layers/rootfs", "pkg/layers/snapshotter", "pkg/layers/split"},
		"it keeps states and knows nothing of how one is made"},
	"pkg/layers/codec":   {[]string{"internal/hint"}, "it turns bytes into bytes and knows no store"},
	"pkg/layers/growing": {nil, "it is a file that others write and read, and knows no store"},
	"pkg/layers/lease":   {[]string{"internal/durable"}, "it lists what is used, and knows no store"},
	"pkg/layers/split": {[]string{"pkg/installer", "pkg/layers/codec", "pkg/layers/rootfs"},
		"it groups files and knows no store"},
	"pkg/layers/snapshotter": {[]string{"internal/durable", "internal/filecopy", "internal/hint", "internal/procfs", "internal/thread", "pkg/layers/rootfs"}, "it shows directories that it is given as one, and knows no store"},
	"pkg/layers/rootfs": {[]string{"internal/durable", "internal/hint", "internal/mark", "pkg/layers/codec"},
		"it works on directories that it is given and knows no store"},
	"pkg/pipcache":           {[]string{"internal/durable", "internal/hint", "internal/lazyregexp", "pkg/installer", "pkg/layers/rootfs"}, "a cache outlives builds and knows none"},
	"pkg/pipcache/travel":    {[]string{"pkg/pipcache"}, "it packs caches and cares not where they go"},
	"pkg/runtime":            {[]string{"internal/durable", "internal/lazyregexp", "internal/mark", "internal/thread", "pkg/runtime/direct", "pkg/runtime/host", "pkg/runtime/keeper", "pkg/runtime/network", "pkg/runtime/rootedit", "pkg/runtime/supervisor", "pkg/runtime/swap", "pkg/runtime/tracer"}, "it runs one process and cares neither for images nor for builds"},
	"pkg/runtime/host":       {[]string{"internal/procfs", "internal/statedir", "internal/thread", "pkg/runtime/direct", "pkg/runtime/network"}, "it says what a host can do and enters namespaces, and knows no sandbox"},
	"pkg/runtime/network":    {[]string{"internal/netguard", "internal/thread"}, "it gives a sandbox a network, and knows none of its processes and files"},
	"pkg/runtime/keeper":     {[]string{"internal/procfs"}, "it ends processes, and knows no sandbox but by its mount namespace"},
	"pkg/runtime/supervisor": {[]string{"internal/mark"}, "it answers system calls, and knows neither sandboxes nor images"},
	"pkg/runtime/direct":     {[]string{"internal/procfs", "internal/thread"}, "it executes one command as a plain process, and knows no sandbox"},
	"pkg/runtime/swap":       {[]string{"internal/durable", "internal/filecopy", "internal/hint", "internal/procfs"}, "it moves files in and out of a root, and knows no command and no cache"},
	"pkg/runtime/tracer":     {nil, "it executes one command by another program, and knows no sandbox"},
	"pkg/runtime/ldcache":    {nil, "it turns bytes into a list and back, and opens no file"},
	"pkg/runtime/rootedit":   {[]string{"internal/lazyregexp", "pkg/runtime/host", "pkg/runtime/ldcache"}, "it changes files below a directory that it is given, and knows no sandbox"},
	"pkg/runtime/gpu":        {[]string{"internal/hint", "internal/lazyregexp", "pkg/runtime", "pkg/runtime/host", "pkg/runtime/ldcache", "pkg/runtime/rootedit"}, "it turns what a host has into edits of a sandbox, and runs none"},
	"pkg/container/copying":  {nil, "it moves files as tars, and cares not whose they are"},
	"pkg/container": {[]string{"internal/durable", "internal/hint", "internal/lazyregexp", "pkg/container/copying", "pkg/pipcache", "pkg/runtime"},
		"it keeps track of containers and makes no sandbox; images and flags are the command line's"},
	"pkg/image":           {[]string{"internal/durable", "internal/hint", "internal/lazyregexp", "internal/outfile", "pkg/image/wire"}, "it moves images and cares for no store"},
	"pkg/image/wire":      {[]string{"internal/hint", "internal/netguard"}, "it carries requests to a registry and knows no image"},
	"internal/envfile":    {[]string{"internal/hint"}, "it turns the text of a file into variables, and asks whoever calls it for others"},
	"internal/outfile":    {[]string{"internal/durable", "internal/hint"}, "it writes any file that a user named"},
	"internal/durable":    {nil, "it writes and locks gbuild's own files, wherever they are"},
	"internal/procfs":     {nil, "it reads what the kernel says, and decides nothing"},
	"internal/filecopy":   {nil, "it copies any files, and knows neither marks nor snapshots"},
	"internal/hint":       {nil, "it is one error type, for all"},
	"internal/madeimage":  {[]string{"pkg/layers/codec"}, "it is an image of what it is given"},
	"internal/tasks":      {nil, "it runs functions beside each other, whatever they do"},
	"internal/recipe":     {[]string{"pkg/layers"}, "it turns fields into keys"},
	"internal/sshagent":   {[]string{"internal/hint"}, "it passes messages on and knows no build"},
	"internal/lazyregexp": {nil, "it is one function of the standard library that is missing"},
	"internal/thread":     {nil, "it is one function of the standard library that is missing"},
	"internal/mark":       {nil, "it is the form of an attribute, for who writes it and who reads it"},
	"internal/building": {[]string{"internal/bases", "internal/cli", "internal/hint", "internal/outfile", "internal/output", "internal/progress", "internal/report", "internal/scope", "internal/sshagent",
		"pkg/build", "pkg/build/sharedcache", "pkg/dockerfile", "pkg/files", "pkg/image", "pkg/installer", "pkg/layers", "pkg/layers/codec", "pkg/layers/rootfs", "pkg/pipcache/travel", "pkg/runtime", "pkg/runtime/host", "pkg/runtime/gpu"},
		"it carries out a build whose options are given, and knows no command"},
	"internal/running": {[]string{"internal/bases", "internal/cli", "internal/envfile", "internal/hint", "internal/lazyregexp", "internal/progress", "pkg/build", "pkg/container", "pkg/files", "pkg/image",
		"pkg/layers", "pkg/layers/rootfs", "pkg/runtime", "pkg/runtime/gpu", "pkg/runtime/host", "pkg/runtime/network"},
		"it runs a container whose options are given, and knows no command"},
	"internal/inspect": {[]string{"pkg/container"}, "it words what is known of containers and images, and finds out nothing"},
	"internal/cli": {[]string{"internal/hint", "internal/outfile", "internal/progress", "internal/scope", "internal/statedir", "pkg/build", "pkg/container", "pkg/dockerfile", "pkg/image", "pkg/image/wire", "pkg/layers", "pkg/pipcache", "pkg/pipcache/travel", "pkg/runtime", "pkg/runtime/host", "pkg/runtime/gpu"},
		"it is what commands stand on, and knows none"},
	"internal/buildah": {[]string{"internal/building", "internal/cli", "internal/hint"},
		"it is one more command line of a build, and does nothing that a build does"},
	"internal/kaniko": {[]string{"internal/building", "internal/cli", "internal/hint", "internal/outfile", "pkg/image", "pkg/remote"},
		"it is one more command line of a build, and does nothing that a build does"},
	"internal/output": {[]string{"internal/hint", "internal/outfile", "pkg/build", "pkg/files", "pkg/image", "pkg/layers", "pkg/layers/codec", "pkg/layers/growing", "pkg/layers/rootfs"},
		"it writes what a build made, and neither prints nor builds"},
	"internal/report":     {[]string{"internal/progress", "pkg/build", "pkg/dockerfile"}, "it words what is known of a Dockerfile, and finds out nothing"},
	"internal/bases":      {[]string{"internal/hint", "pkg/image", "pkg/layers"}, "it finds images and cares not what begins with them"},
	"internal/statedir":   {nil, "it is the table of what lies in the state directory, for those who own a part of it"},
	"internal/scope":      {nil, "it names a project by what is on the disk, and knows no cache"},
	"internal/netguard":   {[]string{"internal/hint"}, "it is one list of addresses, for all who open connections for strangers"},
	"internal/progress":   {[]string{"internal/lazyregexp", "pkg/build"}, "it draws Events and knows nothing else of a build"},
	"internal/testgpu":    {nil, "it makes up a machine, and cares for no package"},
	"internal/testimage":  {nil, "what tests stand on must not be what they test"},
	"internal/testdocs":   {nil, "it reads one page of the documentation, for tests"},
	"internal/testplaces": {nil, "it makes places for the binary, and cares for no package"},
	"internal/testkaniko": {nil, "it holds the binary against another one, and cares for no package"},
	"internal/testengine": {[]string{"internal/testimage"}, "it has an Engine and the project's images for tests, and runs the project as anybody would"},
	"internal/testjobs":   {nil, "it starts jobs as runners do, and cares for no package"},
	"internal/testself":   {nil, "it starts the program of any test"},
	"internal/testtree":   {[]string{"pkg/layers/rootfs"}, "it says what trees and tars have, for tests"},
	"internal/testimage/demo": {[]string{"internal/testimage"},
		"it is the demo's bases, wheels and index as a command"},
	"scripts/bench": {[]string{"internal/testimage"},
		"it measures gbuild's binary as any other builder's"},
	"scripts/testcount": {nil, "it counts tests and is none"},
}

// forbidden names say what kind of thing a package holds, not what it does.
var forbidden = []string{"utils", "util", "common", "helpers", "helper", "types", "manager"}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// TestArrows fails for an import that DESIGN allows no arrow for, and for a package that the list does not know.
func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		rule, known := arrows[name]
		if !known {
			t.Errorf("package %s is not in the list of arrows: a new package needs a sentence in ARCHITECTURE.md first", name)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(rule.may, "*") && !slices.Contains(rule.may, to) {
				t.Errorf("%s must not import %s: %s", name, to, rule.why)
			}
		}
	}
}

// TestRoomsAreOnThePlan fails for a package that ARCHITECTURE.md does not name.
func TestRoomsAreOnThePlan(t *testing.T) {
	plan, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		if name := path.Base(p.ImportPath); !regexp.MustCompile("[`/]" + name + "`").Match(plan) {
			t.Errorf("ARCHITECTURE.md does not name %s", p.ImportPath)
		}
	}
	if lines := bytes.Count(plan, []byte("\n")); lines > 150 {
		t.Errorf("ARCHITECTURE.md has %d lines: a plan is read in one sitting, so 150 are enough", lines)
	}
}

// TestPackagesAreNamedAndDocumented fails for a package without a comment or with a name that says nothing.
func TestPackagesAreNamedAndDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(forbidden, path.Base(p.ImportPath)) {
			t.Errorf("package %s is named for its kind: name it for what it does", p.ImportPath)
		}
		if p.Doc == "" {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
	}
}

// TestLibcontainerStaysInRuntime keeps a library without a stable API behind one package.
func TestLibcontainerStaysInRuntime(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "github.com/opencontainers/runc/") && p.ImportPath != module+"pkg/runtime" {
				t.Errorf("%s imports %s: libcontainer's API has no promise, so only pkg/runtime may know it", p.ImportPath, imported)
			}
		}
	}
}

// packages lists this module's packages. -e keeps the list whole where a package does not compile at the moment.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return withCode(all)
		} else if err != nil {
			t.Fatalf("reading what go list says: %v", err)
		}
		all = append(all, p)
	}
}

// withCode leaves out packages that consist of tests only, as this one.
func withCode(all []goPackage) []goPackage {
	return slices.DeleteFunc(all, func(p goPackage) bool { return p.ImportPath == strings.TrimSuffix(module, "/")+"/internal" })
}
