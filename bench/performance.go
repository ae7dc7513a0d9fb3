package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// page is docs/performance.md without its figures.
//
//go:embed performance.md.tmpl
var page string

// The files that --write replaces.
var (
	pageFile = filepath.Join("docs", "performance.md")
	plotFile = filepath.Join("docs", "performance.svg")
)

// writePage writes the page and its plot.
func writePage(lines []line, machine []string) error {
	var text strings.Builder
	err := template.Must(template.New("page").Parse(page)).Execute(&text, map[string]any{
		"Machine": machine, "Table": table(lines), "Sides": sides(lines), "Plot": filepath.Base(plotFile),
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", pageFile, err)
	}
	const all = 0o644 // documentation is for everybody
	if err := os.WriteFile(pageFile, []byte(text.String()), all); err != nil {
		return err
	}
	return os.WriteFile(plotFile, []byte(plot(lines)), all)
}

// table is the figures with their targets.
func table(lines []line) string {
	var s strings.Builder
	s.WriteString("| what | measured: median (quartiles) | target | verdict |\n| --- | --- | --- | --- |\n")
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", l.what, spread(l.value, l.unit), l.target, l.verdict())
	}
	return s.String()
}

// sides is every comparison with all its ways.
func sides(lines []line) string {
	var s strings.Builder
	for i := range lines {
		l := &lines[i]
		if len(l.sides) == 0 && len(l.notes) == 0 {
			continue
		}
		fmt.Fprintf(&s, "\n**%s**\n\n", l.what)
		for _, n := range l.notes {
			fmt.Fprintf(&s, "- %s\n", n)
		}
		if len(l.sides) == 0 {
			continue
		}
		if len(l.notes) > 0 {
			s.WriteByte('\n') // a table ends a list only behind an empty line
		}
		fmt.Fprintf(&s, "| way | median, %s | ratio (quartiles) | processor time, µs |\n", l.sideUnit)
		s.WriteString("| --- | ---: | --- | ---: |\n")
		for _, side := range l.sides {
			spent := ""
			if side.cpu > 0 {
				spent = fmt.Sprintf("%.0f", side.cpu)
			}
			fmt.Fprintf(&s, "| %s | %.0f | %s | %s |\n", side.name, side.value, spread(side.ratio, ""), spent)
		}
	}
	return s.String()
}
