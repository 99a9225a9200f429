// This file owns where contexts and Dockerfiles are: kaniko's words for that, and those of a build.

package kaniko

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gbuild/gbuild/internal/building"
	"github.com/gbuild/gbuild/internal/cli"
	"github.com/gbuild/gbuild/internal/hint"
)

// place says in a build's words where the context is, and which directory of it is meant.
func (l *Line) place(environ cli.Environment) (context, sub string, err error) {
	if l.Bucket != "" {
		return "", "", bucketError(cmp.Or(schemed(l.Bucket), "gs://"+l.Bucket))
	}
	scheme, rest, ok := strings.Cut(l.Context, "://")
	switch {
	case l.Context == "":
		return "", "", cli.Usagef("--context is empty")
	case !ok:
		return l.Context, "", nil // kaniko's --context-sub-path has no effect there; see Notices
	}
	switch scheme {
	case "dir":
		return filepath.Join(rest, l.SubPath), "", nil
	case "tar":
		if rest == "stdin" {
			rest = cli.StdinName
		}
		return rest, l.SubPath, nil
	case "git":
		context, err = l.repository(rest, environ)
		return context, "", err
	case "https", "http":
		if azureBlob.MatchString(l.Context) && environ.Get("AZURE_STORAGE_ACCESS_KEY") != "" {
			return "", "", bucketError(l.Context)
		}
		return l.Context, l.SubPath, nil
	case "gs", "s3", "azblob", "abfs", "wasbs":
		return "", "", bucketError(l.Context)
	}
	return "", "", cli.Usage(hint.Errorf("it is a directory, dir://, tar://, tar://stdin, git:// or https://", "--context %s: %s:// is no place for a context", l.Context, scheme))
}

// schemed is an address if it has a scheme, else empty.
func schemed(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return ""
}

// azureBlob are the addresses that kaniko signs for with AZURE_STORAGE_ACCESS_KEY.
var azureBlob = regexp.MustCompile(`^https://[^/]+\.blob\.core\.(windows\.net|chinacloudapi\.cn|cloudapi\.de|usgovcloudapi\.net)/.`)

// bucketError says how a context in a bucket is had without an SDK of its vendor in gbuild.
func bucketError(address string) error {
	fetch := map[string]string{
		"gs": "gcloud storage cat " + address,
		"s3": "aws s3 cp " + address + " -",
	}[address[:strings.Index(address, "://")]]
	if fetch == "" {
		fetch = "az storage blob download --blob-url " + address + " --file /dev/stdout"
	}
	return cli.Usage(hint.Errorf(fmt.Sprintf("let its vendor's tool fetch it: %s | gbuild kaniko --context=tar://stdin …; an address that is signed works as https://…", fetch),
		"--context %s: gbuild opens no buckets", address))
}

// repository is the address of HOST/PATH[#REF[#COMMIT]] as a build has it. As with kaniko the context has a .git, and no
// submodules that nobody asked for.
func (l *Line) repository(rest string, environ cli.Environment) (string, error) {
	git, err := l.gitOptions()
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(rest, "#", 3)
	scheme := "https"
	if environ.Get("GIT_PULL_METHOD") == "http" {
		scheme = "http"
	}
	u, err := url.Parse("git+" + scheme + "://" + parts[0])
	if err != nil {
		return "", cli.Usagef("--context: git://… is no address of a repository")
	}
	if token := environ.Get("GIT_TOKEN"); token != "" {
		u.User = url.User(token)
	} else if user, password := environ.Get("GIT_USERNAME"), environ.Get("GIT_PASSWORD"); user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	ref := git["branch"]
	if len(parts) > 1 && (ref == "" || isCommit(parts[1])) {
		ref = parts[1]
	}
	if len(parts) > 2 && parts[2] != "" {
		ref = parts[2]
	}
	query := url.Values{"submodules": {cmp.Or(git["recurse-submodules"], "false")}, "keep-git-dir": {"true"}}
	if ref != "" {
		query.Set("ref", ref)
	}
	if l.SubPath != "" {
		query.Set("subdir", l.SubPath)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// isCommit says whether a ref is a whole commit.
var isCommit = regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString

// gitOptions reads --git, one KEY=VALUE each.
func (l *Line) gitOptions() (map[string]string, error) {
	options := map[string]string{}
	for _, word := range l.Git {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, cli.Usagef("--git %s: it is KEY=VALUE", word)
		}
		switch key {
		case "branch", "depth":
		case "single-branch", "recurse-submodules", "insecure-skip-tls":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return nil, cli.Usagef("--git %s: it is true or false", word)
			}
			if on && key == "insecure-skip-tls" {
				return nil, cli.Usage(hint.Errorf("name the CA of the server with GIT_SSL_CAINFO or SSL_CERT_FILE", "--git %s: a server without a certificate that counts could give any source", word))
			}
			value = strconv.FormatBool(on)
		default:
			return nil, cli.Usagef("--git %s: it is branch, single-branch, recurse-submodules, depth or insecure-skip-tls", word)
		}
		options[key] = value
	}
	return options, nil
}

// fillSource says where the context and the Dockerfile are. kaniko looks for a Dockerfile from the working directory first, and
// then in the context, also where its name begins with a slash.
func (l *Line) fillSource(s *building.Source, a *cli.App) (err error) {
	if s.Context, s.Subdir, err = l.place(a.Environ); err != nil {
		return err
	}
	if s.Context == cli.StdinName && isDevice(a.Stdin) {
		return hint.Errorf("docker run and kubectl run need -i to hand it on", "--context %s: nothing comes on the standard input", l.Context)
	}
	s.File = l.Dockerfile
	if building.IsAddress(l.Dockerfile) {
		return nil
	}
	if _, err := os.Stat(l.Dockerfile); err != nil {
		s.File = strings.TrimLeft(l.Dockerfile, "/")
		return nil
	}
	s.File, err = filepath.Abs(l.Dockerfile)
	info, statErr := os.Stat(s.Context)
	s.FileHere = statErr != nil || !info.IsDir()
	return err
}

// isDevice says whether a stream is a terminal, or /dev/null.
func isDevice(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
