// This file owns wheels of real code: they are made of what Debian's packages have installed here.

package testimage

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"runtime"
	"strings"
)

const distPackages = "/usr/lib/python3/dist-packages/"

// DebianWheel makes a wheel of an installed python3-* package of Debian: real code, and for some of them a real
// extension module, without an index to fetch it from.
func DebianWheel(debian string) (Wheel, error) {
	out, err := exec.Command("dpkg", "-L", debian).Output()
	if err != nil {
		return Wheel{}, fmt.Errorf("listing package %s: %w", debian, err)
	}
	w := Wheel{Files: map[string]string{}}
	for file := range strings.Lines(string(out)) {
		if err := w.take(strings.TrimSpace(file)); err != nil {
			return Wheel{}, fmt.Errorf("making a wheel of %s: %w", debian, err)
		}
	}
	if w.Name == "" {
		return Wheel{}, fmt.Errorf("making a wheel of %s: no metadata below %s", debian, distPackages)
	}
	return w, nil
}

var (
	metadataFile = regexp.MustCompile(`^[^/]+\.(egg-info|dist-info)(/(PKG-INFO|METADATA))?$`)
	metadataName = regexp.MustCompile(`(?m)^Name: (.+)$`)
	metadataVers = regexp.MustCompile(`(?m)^Version: (.+)$`)
	extension    = regexp.MustCompile(`\.cpython-(\d+)-[^/]+\.so$`)
)

// take adds one file of the Debian package to w, or what its metadata say.
func (w *Wheel) take(file string) error {
	name, inside := strings.CutPrefix(file, distPackages)
	info, err := os.Stat(file)
	if !inside || err != nil || !info.Mode().IsRegular() || strings.Contains(name, "__pycache__/") {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if metadataFile.MatchString(name) {
		n, v := metadataName.FindSubmatch(data), metadataVers.FindSubmatch(data)
		if n == nil || v == nil {
			return fmt.Errorf("no name or version in %s", file)
		}
		w.Name, w.Version = string(n[1]), string(v[1])
		return nil
	}
	if first, _, _ := strings.Cut(name, "/"); path.Ext(first) == ".egg-info" || path.Ext(first) == ".dist-info" {
		return nil
	}
	if m := extension.FindStringSubmatch(name); m != nil {
		machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
		w.Tag = fmt.Sprintf("cp%s-cp%s-linux_%s", m[1], m[1], machine)
	}
	w.Files[name] = string(data)
	return nil
}
