// This file owns what can be seen of a build when it is over.

package testkaniko

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// outcome is what a command line came to. Digests, which differ, are DIGEST in it, and hosts are the names that the line has.
type outcome struct {
	Exit   int               `json:"exit"`
	Error  string            `json:"error,omitempty"`  // the first line that says what is wrong
	Log    string            `json:"log,omitempty"`    // "json", if all that was said is
	Tags   []string          `json:"tags,omitempty"`   // what is in the registries, without bases and caches
	Caches map[string]int    `json:"caches,omitempty"` // repositories whose tags are keys, and how many
	Files  map[string]string `json:"files,omitempty"`  // what is in $OUT; the texts, or what an archive or a layout has
	Image  *image            `json:"image,omitempty"`  // what was built
	Again  string            `json:"again,omitempty"`  // the second build: "same image", "same files", or "other files"

	said string
}

// image is what was built, above its base.
type image struct {
	Platform   string            `json:"platform"`
	User       string            `json:"user,omitempty"`
	Dir        string            `json:"dir,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Shell      []string          `json:"shell,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Ports      []string          `json:"ports,omitempty"`
	Volumes    []string          `json:"volumes,omitempty"`
	StopSignal string            `json:"stop,omitempty"`
	Health     []string          `json:"health,omitempty"`
	OnBuild    []string          `json:"onbuild,omitempty"`
	Created    string            `json:"created"` // "now", or the year of another time
	Layers     int               `json:"layers"`  // above the base
	Packed     []string          `json:"packed"`  // how these layers are compressed
	Files      []string          `json:"files,omitempty"`

	digest  string            // of the whole
	content map[string]string // the digests of regular files
}

var (
	key      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	digest   = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	colour   = regexp.MustCompile("\x1b\\[[0-9;]*m")
	mistakes = regexp.MustCompile(`(?i)^(gbuild[a-z ]*: |error|fatal|panic)`)
)

// look says what a program left, with what it said and its status.
func (w *world) look(exit int, said string) (o outcome, err error) {
	o = outcome{Exit: exit, Files: map[string]string{}, said: said}
	for text := range strings.Lines(said) {
		text = strings.TrimSpace(colour.ReplaceAllString(text, ""))
		if o.Error == "" && exit != 0 && mistakes.MatchString(text) {
			o.Error = w.neutral(text)
		}
	}
	if lines := strings.Split(strings.TrimSpace(said), "\n"); exit == 0 && !slices.ContainsFunc(lines, func(s string) bool { return !json.Valid([]byte(s)) }) {
		o.Log = "json"
	}
	img, err := w.lookAtRegistry(&o)
	if err == nil {
		var other v1.Image
		other, err = w.lookAtFiles(&o)
		if img == nil {
			img = other
		}
	}
	if img != nil && err == nil {
		o.Image, err = describe(img)
	}
	return o, err
}

// neutral takes out what is another in each world.
func (w *world) neutral(text string) string {
	text = digest.ReplaceAllString(text, "DIGEST")
	names := slices.Sorted(maps.Keys(w.names))
	slices.SortStableFunc(names, func(a, b string) int { return len(w.names[b]) - len(w.names[a]) })
	for _, n := range names {
		text = strings.ReplaceAll(text, w.names[n], "$"+n)
	}
	return text
}

// lookAtRegistry lists what was pushed, and returns an image of it.
func (w *world) lookAtRegistry(o *outcome) (img v1.Image, err error) {
	var catalog struct{ Repositories []string }
	if err := getJSON("http://"+w.names["REGISTRY"]+"/v2/_catalog", &catalog); err != nil {
		return nil, err
	}
	for _, repository := range catalog.Repositories {
		var list struct{ Tags []string }
		if err := getJSON("http://"+w.names["REGISTRY"]+"/v2/"+repository+"/tags/list", &list); err != nil {
			return nil, err
		}
		for _, tag := range list.Tags {
			switch {
			case repository == "base" || repository == "library/base" || repository == "both":
			case key.MatchString(tag) || strings.Contains(repository, "cache"):
				if o.Caches == nil {
					o.Caches = map[string]int{}
				}
				o.Caches[repository]++
			default:
				o.Tags = append(o.Tags, repository+":"+tag)
				ref, err := name.NewTag(w.names["REGISTRY"] + "/" + repository + ":" + tag)
				if err != nil {
					return nil, err
				}
				if img, err = remote.Image(ref); err != nil {
					return nil, err
				}
			}
		}
	}
	slices.Sort(o.Tags)
	return img, nil
}

func getJSON(url string, into any) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// lookAtFiles lists what is in $OUT, and returns an image of it.
func (w *world) lookAtFiles(o *outcome) (img v1.Image, err error) {
	root := w.names["OUT"]
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		shown, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir() && exists(filepath.Join(path, "index.json")):
			index, err := layout.ImageIndexFromPath(path)
			if err != nil {
				return err
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				return err
			}
			o.Files[shown] = fmt.Sprintf("a layout of %d", len(manifest.Manifests))
			if len(manifest.Manifests) == 1 {
				if img, err = index.Image(manifest.Manifests[0].Digest); err != nil {
					return err
				}
			}
			return fs.SkipDir
		case d.IsDir():
		case strings.HasSuffix(path, ".tar"):
			manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
			if err != nil {
				return err
			}
			var tags []string
			for _, tag := range manifest[0].RepoTags {
				if ref, err := name.NewTag(tag); err == nil && ref.RegistryStr() == name.DefaultRegistry {
					tag = ref.RepositoryStr() + ":" + ref.TagStr() // it may be named, or not
				}
				tags = append(tags, tag)
			}
			o.Files[shown] = "an archive of " + w.neutral(fmt.Sprint(tags))
			img, err = tarball.ImageFromPath(path, nil)
			return err
		default:
			text, err := os.ReadFile(path)
			o.Files[shown] = w.neutral(string(text))
			return err
		}
		return nil
	})
	return img, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// describe says what an image has above its base, which is one layer.
func describe(img v1.Image) (*image, error) {
	config, err1 := img.ConfigFile()
	manifest, err2 := img.Manifest()
	layers, err3 := img.Layers()
	whole, err4 := img.Digest()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	c := config.Config
	d := &image{Platform: config.OS + "/" + config.Architecture, User: c.User, Dir: c.WorkingDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Shell: c.Shell,
		Labels: c.Labels, StopSignal: c.StopSignal, OnBuild: c.OnBuild, Created: fmt.Sprint(config.Created.Year()), Layers: len(layers) - 1,
		Ports: slices.Sorted(maps.Keys(c.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(c.Volumes)), Packed: []string{},
		digest: whole.String(), content: map[string]string{}}
	if len(d.Created) == 4 && d.Created > "2000" {
		d.Created = "now"
	}
	if c.Healthcheck != nil {
		d.Health = append(slices.Clone(c.Healthcheck.Test), c.Healthcheck.Interval.String())
	}
	files := map[string]string{}
	for i, layer := range layers[1:] {
		packed := "gzip"
		if strings.HasSuffix(string(manifest.Layers[i+1].MediaType), "zstd") {
			packed = "zstd"
		}
		if !slices.Contains(d.Packed, packed) {
			d.Packed = append(d.Packed, packed)
		}
		if err := d.addFiles(files, layer); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		d.Files = append(d.Files, name+" "+files[name])
	}
	return d, nil
}

// addFiles puts what a layer has over what those below it have. The root itself is left out: some builders always write it down.
func (d *image) addFiles(files map[string]string, layer v1.Layer) error {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		path := "/" + strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		if path == "/" {
			continue
		}
		if gone, is := strings.CutPrefix(filepath.Base(path), ".wh."); is {
			gone = filepath.Join(filepath.Dir(path), gone)
			_, above := files[gone]
			maps.DeleteFunc(files, func(name, _ string) bool { return name == gone || strings.HasPrefix(name, gone+"/") })
			if !above {
				files[gone] = "gone"
			}
			continue
		}
		files[path] = fmt.Sprintf("%c %04o %d:%d %s", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, strings.TrimPrefix(h.Linkname, "/"))
		if h.Typeflag == tar.TypeReg {
			sum := sha256.New()
			if _, err := io.Copy(sum, archive); err != nil {
				return err
			}
			files[path] += fmt.Sprint(h.Size)
			d.content[path] = hex.EncodeToString(sum.Sum(nil))
		}
	}
}
