// This file owns the bounds of the house, and what each file must say.

package internal_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bounds of the house. What outgrows one is not to be squeezed below it, but divided where it does two things.
const (
	maxFile     = 500 // lines
	maxFunction = 80
	maxRoom     = 5000 // all files of a package together
)

// TestNothingOutgrowsTheHouse fails for a file, a function or a package that nobody can hold in their head.
func TestNothingOutgrowsTheHouse(t *testing.T) {
	rooms := map[string]int{}
	for path, f := range productFiles(t) {
		rooms[filepath.Dir(path)] += f.lines
		if f.lines > maxFile {
			t.Errorf("%s has %d lines, of at most %d", path, f.lines, maxFile)
		}
		for _, d := range f.Decls {
			fn, isFunc := d.(*ast.FuncDecl)
			if !isFunc {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, of at most %d", path, fn.Name.Name, n, maxFunction)
			}
		}
	}
	for room, lines := range rooms {
		if lines > maxRoom {
			t.Errorf("package %s has %d lines, of at most %d", room, lines, maxRoom)
		}
	}
}

type productFile struct {
	*ast.File
	fset  *token.FileSet
	lines int
}

func (f productFile) line(at token.Pos) int { return f.fset.Position(at).Line }

// productFiles parses all Go files that are no tests.
func productFiles(t *testing.T) map[string]productFile {
	t.Helper()
	all := map[string]productFile{}
	root := os.DirFS("..")
	for _, top := range []string{"cmd", "internal", "pkg", "scripts"} {
		err := fs.WalkDir(root, top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || slices.Contains(strings.Split(path, "/"), "testdata") {
				return err
			}
			text, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
			all[path] = productFile{f, fset, bytes.Count(text, []byte("\n"))}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestEachFileSaysWhatItOwns fails for a file without a comment above its package clause. Where all of a package is in one
// file, or a file says nothing but the comment of the package, that comment is it.
func TestEachFileSaysWhatItOwns(t *testing.T) {
	for path, f := range productFiles(t) {
		if len(f.Comments) == 0 || f.Comments[0].Pos() > f.Package {
			t.Errorf("%s has no opening comment: say what it owns, above the package clause", path)
		}
	}
}
