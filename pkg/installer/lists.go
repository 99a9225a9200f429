// This file owns the lists of files that tools keep of what they installed: RECORD of a Python distribution, and conda-meta.

package installer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
)

// List is a file in which a tool lists the files of one thing that it installed.
type List struct {
	Title string // NAME-VERSION; of conda with a build

	// Read returns the paths on the list, of at most so many: a longer one fails with ErrLongList.
	Read func(r io.Reader, most int) ([]string, error)
}

// ErrLongList says that a list is longer than any honest one.
var ErrLongList = errors.New("the list is too long")

// ListAt says whether a file is a list, by its path.
func ListAt(name string) (List, bool) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	switch {
	case base == "RECORD" && strings.HasSuffix(dir, ".dist-info"):
		return List{strings.TrimSuffix(path.Base(dir), ".dist-info"), readRecord}, true
	case path.Base(dir) == "conda-meta" && strings.HasSuffix(base, ".json"):
		return List{strings.TrimSuffix(base, ".json"), readCondaMeta}, true
	}
	return List{}, false
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
			return nil, ErrLongList
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

// UnmarshalJSON refuses a list by its length.
func (l *shortList) UnmarshalJSON(text []byte) error {
	if bytes.Count(text, []byte(",")) > l.most {
		return ErrLongList
	}
	return json.Unmarshal(text, &l.names)
}
