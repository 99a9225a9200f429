// This file owns the test that no option is set by nobody: the product code of this module gets its types, and the fields
// that some statement sets are noted.

package internal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// setElsewhere are exported fields that no statement of the product sets, and why that is right.
var setElsewhere = map[string]string{}

// TestEveryOptionIsSetBySomebody fails for an exported field of an exported struct type that no product code sets: whatever
// reads it has an effect that nobody can have. It is to be used or deleted.
func TestEveryOptionIsSetBySomebody(t *testing.T) {
	unset := slices.DeleteFunc(unsetFields(checkModule(t)), func(field string) bool {
		return strings.HasPrefix(field, "internal/testimage.") // Tests alone set what it makes.
	})
	for _, field := range unset {
		if setElsewhere[field] == "" {
			t.Errorf("%s is set by nobody: use it, or delete it", field)
		}
	}
	for field := range setElsewhere {
		if !slices.Contains(unset, field) {
			t.Errorf("%s needs no exception: it is set, or gone", field)
		}
	}
}

// TestUnsetFieldsAreFound shows what counts as setting a field.
func TestUnsetFieldsAreFound(t *testing.T) {
	for name, c := range map[string]struct{ code, unset string }{
		"by nobody":              {`type T struct{ A, B int }; func f(t T) int { return t.A }`, "A B"},
		"by a name":              {`type T struct{ A, B int }; var t = T{A: 1}`, "B"},
		"by its place":           {`type T struct{ A, B int }; var t = T{1, 2}`, ""},
		"in a list, type left":   {`type T struct{ A, B int }; var t = []T{{B: 1}}; var u = []*T{{1, 2}}`, ""},
		"by assignment":          {`type T struct{ A, B int }; func f(t *T) { t.A, t.B = 1, 2 }`, ""},
		"an element":             {`type T struct{ A map[int]int; B int }; func f(t *T) { t.A[1] = 2; t.B++ }`, ""},
		"a part":                 {`type P struct{ X int }; type T struct{ A P }; func f(t *T) { t.A.X = 1 }`, ""},
		"by its address":         {`type T struct{ A int }; func f(t *T) *int { return &t.A }`, ""},
		"by a range":             {`type T struct{ A int }; func f(t *T) { for t.A = range 3 {} }`, ""},
		"by a decoder":           {"type T struct{ A int `json:\"a\"` }", ""},
		"not exported":           {`type t struct{ A int }; type T struct{ a int }`, ""},
		"compared is not set":    {`type T struct{ A int }; func f(t *T) bool { return t.A == 1 }`, "A"},
		"in a generic type":      {`type T[E any] struct{ A, B []E }; func (t *T[E]) f(e E) { t.A = append(t.A, e) }`, "B"},
		"of another of the name": {`type T struct{ A int }; type U struct{ A int }; var u = U{A: 1}`, "A"},
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "made-up.go", "package p\n"+c.code, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info := newInfo()
		p, err := new(types.Config).Check("p", fset, []*ast.File{file}, info)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var found []string
		for _, field := range unsetFields([]checked{{p, []*ast.File{file}, info}}) {
			found = append(found, strings.TrimPrefix(field, "p.T."))
		}
		if got := strings.Join(found, " "); got != c.unset {
			t.Errorf("%s: unset are %q, want %q", name, got, c.unset)
		}
	}
}

// checked is a package of this module, without its tests.
type checked struct {
	types *types.Package
	files []*ast.File
	info  *types.Info
}

func newInfo() *types.Info {
	return &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
}

// unsetFields lists the exported fields of exported struct types, but those that a decoder sets by their tags, and those
// that are structs, whose own fields count.
func unsetFields(all []checked) []string {
	set := map[types.Object]bool{}
	for _, p := range all {
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				noteSet(p.info, n, set)
				return true
			})
		}
	}
	unset := map[string]bool{}
	for _, p := range all {
		for _, name := range p.types.Scope().Names() {
			of, isType := p.types.Scope().Lookup(name).(*types.TypeName)
			if !isType || !of.Exported() {
				continue
			}
			s, _ := of.Type().Underlying().(*types.Struct)
			for i := 0; s != nil && i < s.NumFields(); i++ {
				f := s.Field(i)
				_, isStruct := f.Type().Underlying().(*types.Struct)
				if f.Exported() && !f.Embedded() && !isStruct && s.Tag(i) == "" && !set[f] {
					unset[strings.TrimPrefix(p.types.Path(), module)+"."+name+"."+f.Name()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(unset))
}

// noteSet notes the fields that a piece of code sets, or lets others set by their address.
func noteSet(info *types.Info, n ast.Node, set map[types.Object]bool) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		noteLiteral(info, n, set)
	case *ast.AssignStmt:
		for _, to := range n.Lhs {
			notePath(info, to, set)
		}
	case *ast.RangeStmt:
		notePath(info, n.Key, set)
		notePath(info, n.Value, set)
	case *ast.IncDecStmt:
		notePath(info, n.X, set)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			notePath(info, n.X, set)
		}
	}
}

func noteLiteral(info *types.Info, lit *ast.CompositeLit, set map[types.Object]bool) {
	of := info.TypeOf(lit)
	if p, isPointer := of.Underlying().(*types.Pointer); isPointer {
		of = p.Elem()
	}
	s, isStruct := of.Underlying().(*types.Struct)
	for i, e := range lit.Elts {
		if pair, named := e.(*ast.KeyValueExpr); !named && isStruct {
			set[origin(s.Field(i))] = true
		} else if key, isName := pairKey(pair); isName {
			set[origin(info.Uses[key])] = true
		}
	}
}

func pairKey(pair *ast.KeyValueExpr) (*ast.Ident, bool) {
	if pair == nil {
		return nil, false
	}
	name, ok := pair.Key.(*ast.Ident)
	return name, ok
}

// notePath notes all fields on the way to what is set: a.B.C[i] = 1 sets B and C.
func notePath(info *types.Info, e ast.Expr, set map[types.Object]bool) {
	for {
		switch at := e.(type) {
		case *ast.SelectorExpr:
			set[origin(info.Uses[at.Sel])] = true
			e = at.X
		case *ast.IndexExpr:
			e = at.X
		case *ast.StarExpr:
			e = at.X
		case *ast.ParenExpr:
			e = at.X
		default:
			return
		}
	}
}

// origin is the field as it was declared, where the type is one of a generic one.
func origin(o types.Object) types.Object {
	if v, isVar := o.(*types.Var); isVar {
		return v.Origin()
	}
	return o
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles, CgoFiles       []string
	Module                  *struct{ Main bool }
	Error                   *struct{ Err string }
}

// checkModule gives types to the product code of this module. Of all other packages the compiler's export data is read.
func checkModule(t *testing.T) []checked {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "seccomp", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,CgoFiles,Module,Error", "./...")
	cmd.Dir, cmd.Stderr = "..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	m := &moduleChecker{fset: token.NewFileSet(), exports: map[string]string{}, ours: map[string]*types.Package{}}
	m.others = importer.ForCompiler(m.fset, "gc", m.open)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; { // each package comes after those that it imports
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return m.all
		} else if err != nil {
			t.Fatalf("reading what go list says: %v", err)
		}
		if p.Module == nil || !p.Module.Main {
			m.exports[p.ImportPath] = p.Export
		} else if err := m.check(p); err != nil {
			t.Fatalf("checking %s: %v", p.ImportPath, err)
		}
	}
}

type moduleChecker struct {
	fset    *token.FileSet
	exports map[string]string // These files are export data of other modules' packages.
	others  types.Importer
	ours    map[string]*types.Package
	all     []checked
}

func (m *moduleChecker) open(path string) (io.ReadCloser, error) {
	if m.exports[path] == "" {
		return nil, fmt.Errorf("no export data of %s", path)
	}
	return os.Open(m.exports[path])
}

// Import implements types.Importer. A package of this module is the one that was checked, so that a field is one object
// everywhere.
func (m *moduleChecker) Import(path string) (*types.Package, error) {
	if p := m.ours[path]; p != nil {
		return p, nil
	}
	return m.others.Import(path)
}

func (m *moduleChecker) check(p listed) error {
	c := checked{info: newInfo()}
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		f, err := parser.ParseFile(m.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
	}
	config := types.Config{Importer: m, FakeImportC: true}
	var err error
	if c.types, err = config.Check(p.ImportPath, m.fset, c.files, c.info); err != nil {
		return err
	}
	m.ours[p.ImportPath] = c.types
	m.all = append(m.all, c)
	return nil
}
