// This file owns what is kept of a log: --log-driver and --log-opt, in docker's words.

package container

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/gbuild/gbuild/internal/hint"
)

// LogPolicy says what is kept of what a command says. The zero value keeps all.
type LogPolicy struct {
	Off     bool  // nothing is kept
	MaxSize int64 // bytes of a file of the log; 0 is no bound
	MaxFile int   // so many files, with the one that is written to; 0 is one
}

// The options of docker's drivers that change nothing here: the files are not compressed, and their lines have no more fields.
var otherLogOptions = []string{"compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"}

// ParseLog reads the name of a driver, and its options.
func ParseLog(driver string, options []string) (p LogPolicy, err error) {
	switch driver {
	case "", "json-file", "k8s-file", "passthrough": // docker's, and podman's names for the same
	case "local":
		p = LogPolicy{MaxSize: 20 << 20, MaxFile: 5}
	case "none":
		return LogPolicy{Off: true}, nil
	default:
		return p, hint.Errorf("use json-file, local or none; gbuild logs -f NAME hands the log on to another program", "log driver %q: gbuild keeps logs in files only", driver)
	}
	for _, o := range options {
		name, value, given := strings.Cut(o, "=")
		switch {
		case !given:
			err = errors.New("it is NAME=VALUE")
		case name == "max-size":
			p.MaxSize, err = units.RAMInBytes(value)
			if value == "-1" {
				p.MaxSize, err = 0, nil
			} else if err == nil && p.MaxSize <= 0 {
				err = errors.New("it is a size such as 10m")
			}
		case name == "max-file":
			p.MaxFile, err = strconv.Atoi(value)
			if err == nil && p.MaxFile < 1 {
				err = errors.New("it is at least 1")
			}
		case !slices.Contains(otherLogOptions, name):
			err = errors.New("unknown option")
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", o, err)
		}
	}
	return p, nil
}
