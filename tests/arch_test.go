package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module         = "github.com/ossfs/ossfs"
	maxFileLines   = 600
	maxFuncLines   = 100
	maxFuncInputs  = 6 // a context and five more
	goFuse         = "github.com/hanwen/go-fuse/"
	serverPackage  = "internal/ossserver"
	clientPackage  = "ossclient"
	commandPackage = "cmd/ossfs"
)

// mayImport says which of the project's own rooms each room may import, by their first folders. What
// is below internal/ (the server apart) is furniture: every room may use it, and it uses no room but
// ossclient.
var mayImport = func() map[string][]string {
	return map[string][]string{
		"cmd":         {"fs", "cache", "writeback", "ossclient"},
		"fs":          {"fs", "cache", "writeback", "ossclient"},
		"cache":       {"cache", "ossclient"},
		"writeback":   {"writeback", "ossclient"},
		"ossclient":   {"ossclient"},
		"internal":    {"ossclient", "fs", "writeback", "cache"},
		"tests":       {"fs", "cache", "writeback", "ossclient", "tests"},
		serverPackage: nil,
	}
}

type source struct {
	path string // slash-separated, from the top
	file *ast.File
	fset *token.FileSet
}

func (s source) pkg() string { return path.Dir(s.path) }
func (s source) test() bool  { return strings.HasSuffix(s.path, "_test.go") }
func (s source) lines() int  { return s.fset.File(s.file.Pos()).LineCount() }
func (s source) imports() []string {
	var list []string
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		list = append(list, p)
	}
	return list
}

// sources parses every Go file of the program's own module.
func sources(t *testing.T) []source {
	t.Helper()
	top := ".."
	var all []source
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "tests/oracle" || rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{rel, file, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("found %d Go files, want the whole program", len(all))
	}
	return all
}

// room is the key of mayImport for a package's folder.
func room(pkg string) string {
	if pkg == serverPackage || strings.HasPrefix(pkg, serverPackage+"/") {
		return serverPackage
	}
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

func TestImportsRunOneWay(t *testing.T) {
	allowed := mayImport()
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, imp := range s.imports() {
			if strings.HasPrefix(imp, goFuse) && room(s.pkg()) != "fs" && room(s.pkg()) != "tests" {
				t.Errorf("%s imports %s: only fs may", s.path, imp)
			}
			own, ok := strings.CutPrefix(imp, module+"/")
			if !ok {
				continue
			}
			checkOwnImport(t, s, own, allowed)
		}
	}
}

func checkOwnImport(t *testing.T, s source, own string, allowed map[string][]string) {
	t.Helper()
	from, to := room(s.pkg()), room(own)
	switch {
	case to == serverPackage:
		if from != serverPackage && from != "tests" && from != "cmd" && !strings.HasSuffix(s.pkg(), "test") {
			t.Errorf("%s imports the test server %s", s.path, own)
		}
	case to == "internal":
	case from == serverPackage && strings.HasSuffix(s.pkg(), "test"):
	case !slices.Contains(allowed[from], to):
		t.Errorf("%s imports %s: %s may import only %v", s.path, own, from, allowed[from])
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.lines(); n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d: it is two files", s.path, n, maxFileLines)
		}
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			first, last := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
			if n := last - first + 1; n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, want at most %d", s.path, f.Name.Name, n, maxFuncLines)
			}
			if n := f.Type.Params.NumFields(); n > maxFuncInputs && !isKernelMethod(f) {
				t.Errorf("%s: %s has %d parameters, want a struct", s.path, f.Name.Name, n)
			}
		}
	}
}

// isKernelMethod reports whether go-fuse dictates the parameters.
func isKernelMethod(f *ast.FuncDecl) bool {
	return f.Recv != nil && slices.Contains([]string{"CopyFileRange", "Rename", "Create", "Setxattr"}, f.Name.Name)
}

func TestEachPackageHasOneDoc(t *testing.T) {
	docs := map[string][]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		if _, ok := docs[s.pkg()]; !ok {
			docs[s.pkg()] = nil
		}
		if s.file.Doc != nil {
			docs[s.pkg()] = append(docs[s.pkg()], s.path)
		}
	}
	for pkg, files := range docs {
		if len(files) != 1 {
			t.Errorf("package %s has its doc in %d files %v, want one", pkg, len(files), files)
		}
	}
}

// A package variable that changes is a hidden parameter of every function. Errors, compiled patterns
// and interface assertions are constants that Go cannot spell.
func TestNoMutablePackageVariables(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		assigned := assignedNames(s.file)
		for _, decl := range s.file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name != "_" && assigned[name.Name] {
						t.Errorf("%s: package variable %s is assigned to", s.path, name.Name)
					}
				}
			}
		}
	}
}

// assignedNames collects what a file's functions assign to as a bare name that they have not defined
// themselves.
func assignedNames(file *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		own, assigned := map[string]bool{}, map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				note(own, n.Names)
			case *ast.ValueSpec:
				note(own, n.Names)
			case *ast.RangeStmt:
				noteExprs(own, n.Key, n.Value)
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					noteExprs(own, n.Lhs...)
				} else {
					noteExprs(assigned, n.Lhs...)
				}
			}
			return true
		})
		for name := range assigned {
			if !own[name] {
				names[name] = true
			}
		}
	}
	return names
}

func note(set map[string]bool, list []*ast.Ident) {
	for _, id := range list {
		set[id.Name] = true
	}
}

func noteExprs(set map[string]bool, list ...ast.Expr) {
	for _, e := range list {
		if id, ok := e.(*ast.Ident); ok {
			set[id.Name] = true
		}
	}
}
