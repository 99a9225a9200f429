package split

// The lists of files that package managers keep of what they installed: RECORD of a Python distribution, conda-meta of conda.

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"strings"
)

// maxList is how many bytes a list may have; that of a distribution with 100,000 files has 10 MB.
const maxList = 16 << 20

// IsList says whether a file is the list of a distribution, by its path.
func IsList(name string) bool {
	_, read := listKind(name)
	return read != nil
}

// listKind says of which distribution a file is the list, and how it is read: nil for any other file.
func listKind(name string) (title string, read func(r io.Reader, most int) ([]string, error)) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	switch {
	case base == "RECORD" && strings.HasSuffix(dir, ".dist-info"):
		return strings.TrimSuffix(path.Base(dir), ".dist-info"), readRecord
	case path.Base(dir) == "conda-meta" && strings.HasSuffix(base, ".json"):
		return strings.TrimSuffix(base, ".json"), readCondaMeta
	}
	return "", nil
}

// errLongList says that a list is larger than any honest one.
var errLongList = errors.New("the list is too long")

// readList returns the paths on a list of at most so many names.
func readList(file *os.File, read func(io.Reader, int) ([]string, error), most int) ([]string, error) {
	info, err := file.Stat()
	if err == nil && info.Size() > maxList {
		err = errLongList
	}
	if err != nil {
		return nil, err
	}
	return read(io.LimitReader(file, maxList), most)
}

// readRecord returns the paths of a RECORD (see the specification "Recording installed projects").
func readRecord(r io.Reader, most int) (names []string, err error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord, rows.ReuseRecord = -1, true
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if len(names) == most {
			return nil, errLongList
		}
		names = append(names, row[0])
	}
}

// readCondaMeta returns the paths in a package's file of conda-meta.
func readCondaMeta(r io.Reader, most int) ([]string, error) {
	var meta struct{ Files shortList }
	meta.Files.most = most
	err := json.NewDecoder(r).Decode(&meta)
	return meta.Files.names, err
}

// shortList is a JSON list that is refused before it is read, if it has too many names.
type shortList struct {
	names []string
	most  int
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *shortList) UnmarshalJSON(text []byte) error {
	if bytes.Count(text, []byte(",")) > l.most {
		return errLongList
	}
	return json.Unmarshal(text, &l.names)
}

// printable makes a name fit for the history of an image.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, name)
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}
	return strings.Replace(name, "-", " ", 1)
}
