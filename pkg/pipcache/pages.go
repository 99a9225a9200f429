// This file owns the reading of pages of a package index, which anybody may have written.

package pipcache

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// offered is a file that a page links to, with the digest that the page says it has.
type offered struct {
	url    *url.URL
	sha256 string
}

const (
	maxPage  = 64 << 20 // This counts unpacked bytes.
	maxLinks = 200_000
)

var (
	hrefs    = lazyregexp.New(`(?i)<(base|a)\s[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	fragment = lazyregexp.New(`(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)`)
)

// readPage returns a page as text, unpacked; nil if it is none.
func readPage(r io.Reader) []byte {
	text, err := io.ReadAll(io.LimitReader(r, maxPage))
	if err != nil {
		return nil
	}
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil
		}
		if text, err = io.ReadAll(io.LimitReader(z, maxPage)); err != nil {
			return nil
		}
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '<' && text[0] != '{' {
		return nil
	}
	return text
}

// linksOf lists the files of a page that have a digest. at finds the URL of the page by the name of one of its files, nil
// where it cannot; then only links that are whole count.
func linksOf(text []byte, at func(file string) *url.URL) []offered {
	if text[0] == '{' {
		return jsonLinks(text, at)
	}
	var all []offered
	var base *url.URL
	for _, m := range hrefs().FindAllSubmatch(text, maxLinks) {
		target := html.UnescapeString(string(m[2]) + string(m[3]))
		if strings.EqualFold(string(m[1]), "base") {
			base, _ = url.Parse(target)
			continue
		}
		u, err := url.Parse(target)
		if err != nil {
			continue
		}
		if sum := fragment().FindStringSubmatch(u.Fragment); sum != nil {
			if u = whole(u, &base, at); u != nil {
				all = append(all, offered{u, strings.ToLower(sum[1])})
			}
		}
	}
	return all
}

// jsonLinks reads the form of PEP 691.
func jsonLinks(text []byte, at func(string) *url.URL) []offered {
	var page struct {
		Files []struct {
			URL    string            `json:"url"`
			Hashes map[string]string `json:"hashes"`
		} `json:"files"`
	}
	if json.Unmarshal(text, &page) != nil {
		return nil
	}
	var all []offered
	var base *url.URL
	for _, f := range page.Files {
		u, err := url.Parse(f.URL)
		sum := strings.ToLower(f.Hashes["sha256"])
		if _, bad := hex.DecodeString(sum); err != nil || bad != nil || len(sum) != 64 {
			continue
		}
		if u = whole(u, &base, at); u != nil {
			all = append(all, offered{u, sum})
		}
	}
	return all
}

// whole resolves a link against the page's URL, which is found once.
func whole(u *url.URL, base **url.URL, at func(string) *url.URL) *url.URL {
	if !u.IsAbs() {
		if *base == nil || !(*base).IsAbs() {
			*base = at(u.Path)
		}
		if *base == nil {
			return nil
		}
		u = (*base).ResolveReference(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	u.User, u.Fragment = nil, ""
	return u
}
