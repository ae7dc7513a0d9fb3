// Command licences writes the licences of all modules in the program, for the packages: each module with its version and the full
// texts that its authors ask to hand on. A module without a licence is an error.
//
// Usage: licences PACKAGE >FILE
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: licences PACKAGE")
	}
	modules, err := modulesOf(args[0])
	if err != nil {
		return err
	}
	return write(out, modules)
}

// module is a module in the program.
type module struct {
	Path, Version, Dir string
}

// modulesOf returns the modules of all packages in a program, in order, and Go's standard library as the module std. What
// replaces a module is ours.
func modulesOf(pkg string) ([]module, error) {
	const each = "{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
	list := exec.Command("go", "list", "-deps", "-f", each, pkg) //nolint:gosec,noctx // a package of ours
	list.Stderr = os.Stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	root, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output() //nolint:noctx // short
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	environment := strings.Fields(string(root))
	all := []module{{Path: "Go's standard library", Version: environment[1], Dir: environment[0]}}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) < 3 {
			continue // a package of ours or of the standard library
		}
		if m := (module{Path: fields[0], Version: fields[1], Dir: fields[2]}); !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all[1:], func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// named are the files whose text goes with a module.
var named = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

const (
	head = `The program ticketd contains, besides its own code (GPL-2.0-or-later), the modules below. Some of them are under the
Apache License 2.0, which is compatible with version 3 of the GNU General Public License and not with version 2. The program as
a whole is therefore distributed under the GNU General Public License, version 3 or later. ticketd's own source and the WordPress
plugin stay under version 2 or later.

`
	rule = "----------------------------------------------------------------------------------------------------"
)

func write(out io.Writer, modules []module) error {
	if _, err := io.WriteString(out, head); err != nil {
		return err
	}
	for _, m := range modules {
		texts, err := textsOf(m.Dir)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		if _, err := fmt.Fprintf(out, "%s\n%s %s\n%s\n\n%s\n", rule, m.Path, m.Version, rule, texts); err != nil {
			return err
		}
	}
	return nil
}

func textsOf(dir string) (string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var texts strings.Builder
	licensed := false
	for _, file := range files {
		name := strings.ToLower(file.Name())
		if !named.MatchString(name) || file.IsDir() || strings.HasSuffix(name, ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return "", err
		}
		licensed = licensed || name[0] == 'l' || name[0] == 'c'
		texts.WriteString(strings.TrimRight(string(text), "\n") + "\n\n")
	}
	if !licensed {
		return "", fmt.Errorf("no licence in %s", dir)
	}
	return texts.String(), nil
}
