// This file owns the names of images: their grammar, and the one form that each of them has.

package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gbuild/gbuild/internal/hint"
	"github.com/gbuild/gbuild/internal/lazyregexp"
	"github.com/gbuild/gbuild/pkg/image/wire"
)

// Kind says what sort of place a Ref names.
type Kind string

// The places that images come from and go to.
const (
	KindRegistry      Kind = "registry"
	KindOCI           Kind = "oci"
	KindOCIArchive    Kind = "oci-archive"
	KindDockerArchive Kind = "docker-archive"
)

// Stdout as the Path of an archive is the writer that the caller gives in WriteOptions.Output.
const Stdout = "-"

// dockerHub is the name that people write for Docker's registry; hubHost is the one that answers.
const (
	dockerHub = "docker.io"
	hubHost   = name.DefaultRegistry
)

// Ref names an image in a registry, in an OCI layout directory, or in an archive. The zero Ref names nothing.
type Ref struct {
	Kind Kind
	// Host is that of a registry, with its port. Docker Hub's is docker.io.
	Host string
	// Repository is the path in that registry, such as library/python.
	Repository string
	// Path is the directory of a layout, or the file of an archive.
	Path string
	// Tag is one of a registry. In a layout or an archive it is the name of an image inside.
	Tag string
	// Digest is ALGORITHM:HEX, or empty.
	Digest string
}

// badRef says which rule for image names was broken, and what names look like.
func badRef(ref, rule string) error {
	return hint.Errorf("an image name is [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], oci:DIR[:NAME], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME]",
		"image name %q: %s", ref, rule)
}

// The grammar of names is that of distribution/reference, which every registry follows.
var (
	hostGrammar = lazyregexp.New(`^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?$`)
	partGrammar = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagGrammar  = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	nameGrammar = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._:/+-]*$`)
)

// Longest names. As counts in the expressions they would take longer to compile than all else.
const (
	maxTag  = 128
	maxName = 256
)

// ParseRef reads a name of an image. A registry reference without a host belongs to Docker Hub, and one with neither
// tag nor digest means latest. String of the result parses to the same Ref.
func ParseRef(s string) (Ref, error) {
	for _, k := range []Kind{KindOCI, KindOCIArchive, KindDockerArchive} {
		if rest, ok := strings.CutPrefix(s, string(k)+":"); ok {
			return parsePlace(s, k, rest)
		}
	}
	return parseRegistry(s)
}

// ParseName is ParseRef for a name that must be a registry reference.
func ParseName(s string) (Ref, error) {
	r, err := ParseRef(s)
	if err == nil && r.Kind != KindRegistry {
		err = fmt.Errorf("image name %q: it must be NAME[:TAG], not a file", s)
	}
	return r, err
}

// parsePlace reads PATH[:NAME][@DIGEST]. The first colon ends the path, as in skopeo, so a path has none.
func parsePlace(s string, k Kind, rest string) (Ref, error) {
	r := Ref{Kind: k}
	if before, digest, ok := cutDigest(rest); ok {
		if k == KindDockerArchive {
			return Ref{}, badRef(s, "a docker-archive holds no digests")
		}
		if _, err := v1.NewHash(digest); err != nil {
			return Ref{}, badRef(s, "bad digest: "+err.Error())
		}
		rest, r.Digest = before, digest
	}
	var named bool
	r.Path, r.Tag, named = strings.Cut(rest, ":")
	switch {
	case r.Path == "":
		return Ref{}, badRef(s, "the path is missing")
	case named && (len(r.Tag) > maxName || !nameGrammar().MatchString(r.Tag)):
		return Ref{}, badRef(s, "the name after the path must be letters, digits and . _ - + : /, 256 at most")
	}
	return r, nil
}

// cutDigest splits at the last @ that is followed by ALGORITHM:HEX, because a path may contain an @.
func cutDigest(s string) (before, digest string, ok bool) {
	i := strings.LastIndex(s, "@")
	if i < 0 || !strings.Contains(s[i:], ":") || strings.Contains(s[i:], "/") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseRegistry reads [HOST/]REPOSITORY[:TAG][@DIGEST].
func parseRegistry(s string) (Ref, error) {
	r := Ref{Kind: KindRegistry, Host: dockerHub}
	rest, digest, pinned := strings.Cut(s, "@")
	if pinned {
		if _, err := v1.NewHash(digest); err != nil {
			return Ref{}, badRef(s, "bad digest: "+err.Error())
		}
		r.Digest = digest
	}
	if host, path, ok := strings.Cut(rest, "/"); ok && isHost(host) {
		r.Host, rest = host, path
	}
	path, tag, tagged := cutTag(rest)
	if tagged && (len(tag) > maxTag || !tagGrammar().MatchString(tag)) {
		return Ref{}, badRef(s, "a tag is 1 to 128 letters, digits and _ . -, and starts with no . or -")
	}
	r.Repository, r.Tag = path, tag
	if !tagged && !pinned {
		r.Tag = "latest"
	}
	return r.finish(s)
}

// finish checks host and repository, and gives the names of Docker Hub their full form.
func (r Ref) finish(s string) (Ref, error) {
	if r.Host == hubHost {
		r.Host = dockerHub
	}
	if r.Host == dockerHub && !strings.Contains(r.Repository, "/") {
		r.Repository = "library/" + r.Repository
	}
	if rule := brokenRule(r.Host, r.Repository); rule != "" {
		return Ref{}, badRef(s, rule)
	}
	if _, err := name.NewRepository(r.registryHost() + "/" + r.Repository); err != nil {
		return Ref{}, badRef(s, err.Error())
	}
	return r, nil
}

// brokenRule says which rule of the grammar a name breaks. It is empty where the name breaks none.
func brokenRule(host, repository string) string {
	if !hostGrammar().MatchString(host) {
		return fmt.Sprintf("%q is no host name with an optional port", host)
	}
	if len(repository) > 255 {
		return "a repository name has 255 characters at most"
	}
	for _, part := range strings.Split(strings.TrimPrefix(repository, "library/"), "/") {
		switch {
		case part == "":
			return "a part of the name is empty"
		case part != strings.ToLower(part):
			return fmt.Sprintf("%q has upper case letters; names of repositories are lower case", part)
		case !partGrammar().MatchString(part):
			return fmt.Sprintf("%q is not lower case letters and digits, parted by one . one or two _ or by -", part)
		}
	}
	return ""
}

// isHost tells a registry's host from the first part of a repository on Docker Hub. Docker also takes a word with upper
// case letters for a host; that is nearly always a mistyped repository, and better refused as one.
func isHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost"
}

// cutTag splits at the last colon, unless that belongs to the port of a host.
func cutTag(s string) (path, tag string, ok bool) {
	i := strings.LastIndex(s, ":")
	if i < 0 || strings.Contains(s[i:], "/") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// String is the full form: the host is always there, and the tag where there is one.
func (r Ref) String() string {
	var b strings.Builder
	if r.Kind == KindRegistry {
		b.WriteString(r.Name())
	} else {
		b.WriteString(string(r.Kind) + ":" + r.Path)
	}
	if r.Tag != "" {
		b.WriteString(":" + r.Tag)
	}
	if r.Digest != "" {
		b.WriteString("@" + r.Digest)
	}
	return b.String()
}

// Name is the reference without tag and digest: HOST/REPOSITORY, or the path of a layout or an archive.
func (r Ref) Name() string {
	if r.Kind == KindRegistry {
		return r.Host + "/" + r.Repository
	}
	return r.Path
}

// Familiar is String as Docker shows it: without the host and the library of Docker Hub.
func (r Ref) Familiar() string {
	s := r.String()
	if r.Kind != KindRegistry {
		return s
	}
	return strings.TrimPrefix(strings.TrimPrefix(s, dockerHub+"/"), "library/")
}

// check refuses a manifest that is not the one of the digest in the reference, where that has one.
func (r Ref) check(got v1.Hash) error {
	if r.Digest != "" && r.Digest != got.String() {
		return &DigestError{r.String() + ": manifest", r.Digest, got.String()}
	}
	return nil
}

// registryHost is the host that is asked.
func (r Ref) registryHost() string {
	if r.Host == dockerHub {
		return hubHost
	}
	return r.Host
}

// identifier is what a registry's manifest is asked for by: the digest wins over the tag.
func (r Ref) identifier() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// repository returns ggcr's form of the repository. On loopback plain http is tried, too.
func (r Ref) repository(insecure bool) (name.Repository, error) {
	var opts []name.Option
	if insecure || wire.IsLoopback(r.Host) {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(r.registryHost()+"/"+r.Repository, opts...)
	if err != nil {
		return name.Repository{}, badRef(r.String(), err.Error())
	}
	return repo, nil
}

// hubAlias folds the names of Docker Hub into one.
func hubAlias(host string) string {
	if host == hubHost || host == "registry-1.docker.io" {
		return dockerHub
	}
	return host
}
