// Command shape prints figures of how the code reads, as a trend and not as a gate, per package: helpers with a single caller
// in a different file than the caller, the number of files with methods of the same type, and pronouns and empty nouns per
// hundred words of comment. The figures are counted by name, without types: a method counts as called wherever its package
// selects its name, so methods with the same name on two types are left out.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	packages, err := read(".")
	if err == nil {
		err = report(os.Stdout, packages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shape:", err)
		os.Exit(1)
	}
}

func report(to io.Writer, packages []*pkg) error {
	var text strings.Builder
	var all figures
	text.WriteString("package                        lines  pronouns/100 words  one-caller helpers elsewhere  files of a type\n")
	for _, p := range packages {
		f := p.figures()
		all.add(f)
		fmt.Fprintf(&text, "%-28s %7d %19.1f %14d of %-3d %28s\n",
			p.path, f.lines, f.pronounShare(), f.elsewhere, f.oneCaller, f.spread)
	}
	fmt.Fprintf(&text, "%-28s %7d %19.1f %14d of %-3d (%.0f %%) %21s\n", "all", all.lines, all.pronounShare(), all.elsewhere,
		all.oneCaller, 100*float64(all.elsewhere)/float64(max(all.oneCaller, 1)), all.spread)
	_, err := io.WriteString(to, text.String())
	return err
}

// pkg is the code of a folder, without tests.
type pkg struct {
	path  string
	set   *token.FileSet
	files []*ast.File
}

// foreign are folders without code of the project's own.
var foreign = []string{"testdata", "node_modules"}

// read parses all packages below a folder.
func read(root string) ([]*pkg, error) {
	byDir := map[string]*pkg{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name()[0] == '.' || slices.Contains(foreign, entry.Name())):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		dir := filepath.Dir(path)
		p := byDir[dir]
		if p == nil {
			p = &pkg{path: dir, set: token.NewFileSet()}
			byDir[dir] = p
		}
		file, err := parser.ParseFile(p.set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		p.files = append(p.files, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the packages: %w", err)
	}
	var packages []*pkg
	for _, p := range byDir {
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return packages, nil
}

// figures are the counts of a package, or of all packages.
type figures struct {
	lines, words, pronouns, oneCaller, elsewhere int
	spread                                       spread
}

func (f *figures) add(of figures) {
	f.lines += of.lines
	f.words += of.words
	f.pronouns += of.pronouns
	f.oneCaller += of.oneCaller
	f.elsewhere += of.elsewhere
	if of.spread.files > f.spread.files {
		f.spread = of.spread
	}
}

func (f *figures) pronounShare() float64 { return 100 * float64(f.pronouns) / float64(max(f.words, 1)) }

// spread is the type of a package whose methods are in the most files.
type spread struct {
	name  string
	files int
}

func (s spread) String() string {
	if s.files == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d", s.name, s.files)
}

func (p *pkg) figures() figures {
	f := figures{spread: p.spread()}
	for _, file := range p.files {
		f.lines += p.set.File(file.Pos()).LineCount()
		for _, group := range file.Comments {
			words, pronouns := wordsOf(group.Text())
			f.words += words
			f.pronouns += pronouns
		}
	}
	f.oneCaller, f.elsewhere = p.helpers()
	return f
}

func (p *pkg) spread() spread {
	files := map[string]map[*ast.File]bool{}
	for _, file := range p.files {
		for _, declaration := range file.Decls {
			f, is := declaration.(*ast.FuncDecl)
			if !is || f.Recv == nil {
				continue
			}
			name := receiver(f)
			if files[name] == nil {
				files[name] = map[*ast.File]bool{}
			}
			files[name][file] = true
		}
	}
	var most spread
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if n := len(files[name]); n > most.files {
			most = spread{name: name, files: n}
		}
	}
	return most
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.IndexListExpr:
			of = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

// helpers counts the unexported functions and methods with a single caller in their package, and how many of them are in a
// different file than the caller.
func (p *pkg) helpers() (oneCaller, elsewhere int) {
	made := map[string][]*ast.FuncDecl{}
	for _, file := range p.files {
		for _, declaration := range file.Decls {
			if f, is := declaration.(*ast.FuncDecl); is && !f.Name.IsExported() && f.Name.Name != "main" && f.Name.Name != "init" {
				made[f.Name.Name] = append(made[f.Name.Name], f)
			}
		}
	}
	callers := p.callers(made)
	for name, declarations := range made {
		if len(declarations) != 1 || len(callers[name]) != 1 {
			continue
		}
		oneCaller++
		for caller := range callers[name] {
			if p.set.File(caller.Pos()) != p.set.File(declarations[0].Pos()) {
				elsewhere++
			}
		}
	}
	return oneCaller, elsewhere
}

// callers finds the declarations that use each name.
func (p *pkg) callers(made map[string][]*ast.FuncDecl) map[string]map[ast.Decl]bool {
	callers := map[string]map[ast.Decl]bool{}
	for _, file := range p.files {
		for _, declaration := range file.Decls {
			ast.Inspect(declaration, func(n ast.Node) bool {
				name, is := n.(*ast.Ident)
				isOwn := func(f *ast.FuncDecl) bool { return f.Name == name }
				if !is || len(made[name.Name]) == 0 || slices.ContainsFunc(made[name.Name], isOwn) {
					return true
				}
				if callers[name.Name] == nil {
					callers[name.Name] = map[ast.Decl]bool{}
				}
				callers[name.Name][declaration] = true
				return true
			})
		}
	}
	return callers
}

var (
	word = regexp.MustCompile(`[A-Za-z][A-Za-z'-]*`)
	// pronouns are the words that make a reader look for a noun, and the nouns without a meaning of their own.
	pronouns = regexp.MustCompile(`(?i)^(it|its|itself|they|them|their|theirs|themselves|he|him|his|she|her|one|ones|those|these|` +
		`what|who|whom|whose|whoever|whatever|somebody|anybody|nobody|someone|anyone|everybody|something|anything|nothing|everything|` +
		`thing|things|others|another|none|both|there)$`)
)

func wordsOf(text string) (words, found int) {
	for _, w := range word.FindAllString(text, -1) {
		words++
		if pronouns.MatchString(w) {
			found++
		}
	}
	return words, found
}
