// This file hides the credentials in addresses, wherever a text of the Dockerfile is shown.

package dockerfile

import (
	"bytes"
	"strings"

	"github.com/gbuild/gbuild/internal/lazyregexp"
)

// userinfo finds what stands before the host in the addresses of a text. A variable of the shell is no credential yet.
var userinfo = lazyregexp.New(`(?i)\b([a-z][a-z0-9+.-]*)://([^\s/?#"<>\x60\\]+)@`)

// Redact takes credentials out of the addresses in a text: user and password of web addresses, of which either may be a
// token, and the password of all others. Titles of steps, the history of an image and errors say no more than that.
func Redact(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	return userinfo().ReplaceAllStringFunc(text, func(found string) string {
		scheme, info, _ := strings.Cut(strings.TrimSuffix(found, "@"), "://")
		user, password, hasPassword := strings.Cut(info, ":")
		switch strings.ToLower(scheme) {
		case "http", "https", "ftp", "ftps", "git+http", "git+https":
			user = masked(user)
		}
		if hasPassword {
			user += ":" + masked(password)
		}
		return scheme + "://" + user + "@"
	})
}

// RedactSource is Redact for a whole Dockerfile that is shown. Its lines keep their numbers.
func RedactSource(source []byte) []byte {
	if !bytes.ContainsRune(source, '@') {
		return source
	}
	return []byte(Redact(string(source)))
}

// masked is what is shown of a secret. A variable of the shell is none.
func masked(s string) string {
	if s == "" || strings.Contains(s, "$") {
		return s
	}
	return "xxxxx"
}
