package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gbuild/gbuild/internal/testimage"
)

// openScriptImage reads an image as others would: from a registry, oci:DIR, oci-archive:FILE, docker-archive:FILE, or for
// a local name from what gbuild save writes.
func openScriptImage(ts *testscript.TestScript, ref string) v1.Image {
	kind, file, _ := strings.Cut(ref, ":")
	var img v1.Image
	var err error
	switch {
	case kind == "oci":
		img, err = firstOfLayout(ts.MkAbs(file))
	case kind == "oci-archive":
		dir, mkErr := os.MkdirTemp(ts.Getenv("TMPDIR"), "oci")
		ts.Check(mkErr)
		ts.Check(exec.Command("tar", "-x", "-f", ts.MkAbs(file), "-C", dir).Run())
		img, err = firstOfLayout(dir)
	case kind == "docker-archive":
		img, err = tarball.ImageFromPath(ts.MkAbs(file), nil)
	case strings.HasPrefix(ref, worldOf(ts).registry.Host()+"/"):
		parsed, parseErr := name.ParseReference(ref)
		ts.Check(parseErr)
		img, err = remote.Image(parsed)
	default:
		img, err = savedImage(ts, ref)
	}
	ts.Check(err)
	return img
}

func firstOfLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(m.Manifests) == 0 {
		return nil, errors.New("the layout has no image")
	}
	return index.Image(m.Manifests[0].Digest)
}

// savedImage does not run the command as the script does: the output of the command before stays to be looked at.
func savedImage(ts *testscript.TestScript, ref string) (v1.Image, error) {
	dir, err := os.MkdirTemp(ts.Getenv("TMPDIR"), "saved")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("gbuild", "save", "--format", "oci-dir", "-o", dir, ref)
	cmd.Env = worldOf(ts).env.Vars
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("saving %s: %w: %s", ref, err, out)
	}
	return firstOfLayout(dir)
}

// configCommand prints the image's config.
func configCommand(ts *testscript.TestScript, neg bool, args []string) {
	config, err := openScriptImage(ts, args[0]).ConfigFile()
	ts.Check(err)
	out := json.NewEncoder(ts.Stdout())
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	ts.Check(out.Encode(config))
}

// layersCommand prints a line for each layer: its media type, its digest and what made it.
func layersCommand(ts *testscript.TestScript, neg bool, args []string) {
	img := openScriptImage(ts, args[0])
	m, err := img.Manifest()
	ts.Check(err)
	config, err := img.ConfigFile()
	ts.Check(err)
	history := slices.DeleteFunc(slices.Clone(config.History), func(h v1.History) bool { return h.EmptyLayer })
	for i, l := range m.Layers {
		made := ""
		if i < len(history) {
			made = history[i].CreatedBy
		}
		fmt.Fprintln(ts.Stdout(), strings.Join(append([]string{string(l.MediaType), l.Digest.String(), made}, slices.Sorted(maps.Keys(l.Annotations))...), " "))
	}
}

// verifyCommand checks digests, sizes and the agreement of manifest, config and layers, by ggcr.
func verifyCommand(ts *testscript.TestScript, neg bool, args []string) {
	for _, ref := range args {
		ts.Check(validate.Image(openScriptImage(ts, ref)))
	}
}

// treeCommand prints what the image's layers make together: mode, owner, size, path, link and capabilities.
func treeCommand(ts *testscript.TestScript, neg bool, args []string) {
	files, err := flatten(openScriptImage(ts, args[0]))
	ts.Check(err)
	below := ""
	if len(args) > 1 {
		below = strings.Trim(args[1], "/")
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if below != "" && p != below && !strings.HasPrefix(p, below+"/") {
			continue
		}
		h := files[p].Header
		line := fmt.Sprintf("%c %04o %d:%d %d /%s", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.Size, p)
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		for key := range h.PAXRecords {
			if xattr, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
				line += " " + xattr
			}
		}
		fmt.Fprintln(ts.Stdout(), line)
	}
}

// contentsCommand prints a file of the image.
func contentsCommand(ts *testscript.TestScript, neg bool, args []string) {
	files, err := flatten(openScriptImage(ts, args[0]))
	ts.Check(err)
	f, ok := files[strings.Trim(args[1], "/")]
	if !ok {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	_, err = io.WriteString(ts.Stdout(), f.body)
	ts.Check(err)
}

// imageFile is a file of an image.
type imageFile struct {
	*tar.Header
	body string
}

// flatten lays the layers of an image over each other, with their whiteouts.
func flatten(img v1.Image) (map[string]imageFile, error) {
	list, err := img.Layers()
	if err != nil {
		return nil, err
	}
	files := map[string]imageFile{}
	for _, l := range list {
		r, err := l.Uncompressed()
		if err != nil {
			return nil, err
		}
		if err := overlay(files, r); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func overlay(files map[string]imageFile, layer io.ReadCloser) error {
	defer layer.Close()
	lower := maps.Clone(files)
	for in := tar.NewReader(layer); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := strings.Trim(path.Clean("/"+h.Name), "/")
		dir, base := path.Split(p)
		switch hidden, isWhiteout := strings.CutPrefix(base, ".wh."); {
		case base == ".wh..wh..opq":
			hide(files, lower, strings.TrimSuffix(dir, "/"), false)
			continue
		case isWhiteout:
			hide(files, lower, dir+hidden, true)
			continue
		}
		if h.Typeflag != tar.TypeDir {
			hide(files, lower, p, true)
		}
		body, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		files[p] = imageFile{h, string(body)}
		delete(lower, p)
	}
}

// hide removes what the lower layers have below p, and p itself.
func hide(files, lower map[string]imageFile, p string, itself bool) {
	for q := range lower {
		if q == p && itself || strings.HasPrefix(q, p+"/") {
			delete(files, q)
		}
	}
}

// deviceImageCommand writes an archive of base/shell:1 with a device node in a layer: device-image FILE.
func deviceImageCommand(ts *testscript.TestScript, neg bool, args []string) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	ts.Check(w.WriteHeader(&tar.Header{Name: "opt/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}))
	ts.Check(w.WriteHeader(&tar.Header{Name: "opt/none", Typeflag: tar.TypeChar, Mode: 0o666}))
	ts.Check(w.Close())
	shell, err := testimage.Shell()
	ts.Check(err)
	img, err := mutate.AppendLayers(shell, static.NewLayer(layer.Bytes(), types.DockerUncompressedLayer))
	ts.Check(err)
	tag, err := name.NewTag("device:1")
	ts.Check(err)
	ts.Check(tarball.WriteToFile(ts.MkAbs(args[0]), tag, img))
}
