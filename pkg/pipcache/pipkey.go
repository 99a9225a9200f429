// This file owns what pip's cache of downloads looks like. Each answer has a name made of its URL. Since pip 23.3 an entry is
// two files below http-v2: what is known of the answer, and NAME.body; before that it is one below http, which has the
// body inside.

package pipcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

const (
	newEntries = "http-v2"
	oldEntries = "http"
	bodySuffix = ".body"
	entryMagic = "cc=4,"
)

// entryPath is the place of the answer of a URL in a directory of entries.
func entryPath(entries, address string) string {
	sum := sha256.Sum224([]byte(address))
	name := hex.EncodeToString(sum[:])
	return path.Join(entries, name[:1], name[1:2], name[2:3], name[3:4], name[4:5], name)
}

// isEntryName says whether a file is an entry, or the body of one, and not one that is still written.
func isEntryName(base string) bool {
	_, err := hex.DecodeString(strings.TrimSuffix(base, bodySuffix))
	return err == nil && len(strings.TrimSuffix(base, bodySuffix)) == 2*sha256.Size224
}

// cleanURL is a link of a page as pip asks for it: without credentials and fragment, its path quoted in pip's way.
func cleanURL(u *url.URL) string {
	parts := strings.Split(u.EscapedPath(), "/")
	for i, part := range parts {
		parts[i] = requote(part)
	}
	text := strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + strings.Join(parts, "/")
	if u.Path == "" {
		text += "/"
	}
	if u.RawQuery != "" {
		text += "?" + u.RawQuery
	}
	return text
}

// requote unquotes a part of a path and quotes it again; @ and a quoted slash stay.
func requote(part string) string {
	var out strings.Builder
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c == '%' && i+2 < len(part) {
			if b, err := hex.DecodeString(part[i+1 : i+3]); err == nil {
				c = b[0]
				i += 2
			}
		}
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-~@", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// entryOf is the first file of an entry, of a body that is beside it: an answer that is good for a year.
func entryOf(size int64, now time.Time) []byte {
	var b bytes.Buffer
	text := func(s string) { // The text has fewer than 256 bytes.
		b.Write([]byte{0xd9, byte(len(s))})
		b.WriteString(s)
	}
	b.WriteString(entryMagic)
	b.WriteByte(0x82) // a map of two
	text("response")
	b.WriteByte(0x86)
	text("body")
	b.Write([]byte{0xc4, 0}) // no bytes
	text("headers")
	headers := [][2]string{{"Content-Type", "application/octet-stream"}, {"Content-Length", fmt.Sprint(size)},
		{"Date", now.UTC().Format(http.TimeFormat)}, {"Cache-Control", "max-age=31536000, immutable"}}
	b.WriteByte(0x80 | byte(len(headers)))
	for _, h := range headers {
		text(h[0])
		text(h[1])
	}
	text("status")
	b.Write([]byte{0xcc, http.StatusOK})
	text("version")
	b.WriteByte(11)
	text("reason")
	text("OK")
	text("decode_content")
	b.WriteByte(0xc2) // false
	text("vary")
	b.WriteByte(0x80)
	return b.Bytes()
}

var errNoEntry = errors.New("it is no entry of pip's cache")

// maxEntryTail is how much of an entry may follow its body: headers.
const maxEntryTail = 64 << 10

// framedBody finds the body in an entry that has it inside.
func framedBody(f io.ReaderAt, size int64) (*io.SectionReader, error) {
	head := make([]byte, 64)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	r := packed{rest: head[:n]}
	if !r.expect(entryMagic) || !r.mapOf() || !r.key("response") || !r.mapOf() || !r.key("body") {
		return nil, errNoEntry
	}
	length, ok := r.binary()
	at := int64(n - len(r.rest))
	if !ok || length > size-at {
		return nil, errNoEntry
	}
	return io.NewSectionReader(f, at, length), nil
}

// plainAnswer says whether an entry that has its body inside is a whole answer that any request gets: status 200, which leads
// nowhere else.
func plainAnswer(f io.ReaderAt, size int64, body *io.SectionReader) bool {
	_, at, length := body.Outer()
	end := at + length
	if size-end > maxEntryTail {
		return false
	}
	tail := make([]byte, size-end)
	if _, err := f.ReadAt(tail, end); err != nil && err != io.EOF {
		return false
	}
	lower := bytes.ToLower(tail)
	for _, bad := range []string{"location", "refresh", "content-encoding", "transfer-encoding", "set-cookie"} {
		if bytes.Contains(lower, []byte(bad)) {
			return false
		}
	}
	return bytes.Contains(tail, []byte("\xa6status\xcc\xc8")) && bytes.HasSuffix(tail, []byte("\xa4vary\x80"))
}

// packed reads the beginning of MessagePack.
type packed struct{ rest []byte }

// expect takes s off, if it is next.
func (r *packed) expect(s string) bool {
	ok := bytes.HasPrefix(r.rest, []byte(s))
	if ok {
		r.rest = r.rest[len(s):]
	}
	return ok
}

// byte takes one byte off; behind the end there are zeros.
func (r *packed) byte() (c byte) {
	if len(r.rest) > 0 {
		c, r.rest = r.rest[0], r.rest[1:]
	}
	return c
}

// mapOf takes off the beginning of a map of fewer than 16 pairs.
func (r *packed) mapOf() bool { return r.byte()&0xf0 == 0x80 }

// key takes off a string of fewer than 16 bytes.
func (r *packed) key(s string) bool { return r.byte() == 0xa0|byte(len(s)) && r.expect(s) }

// binary takes off the beginning of a run of bytes, and returns its length.
func (r *packed) binary() (int64, bool) {
	width := map[byte]int{0xc4: 1, 0xc5: 2, 0xc6: 4}[r.byte()]
	if width == 0 || len(r.rest) < width {
		return 0, false
	}
	var n [8]byte
	copy(n[8-width:], r.rest)
	r.rest = r.rest[width:]
	return int64(binary.BigEndian.Uint64(n[:])), true
}
