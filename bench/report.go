package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/ticketd/ticketd/bench/round"
)

// line is a measured figure with its target.
type line struct {
	what     string
	value    round.Spread
	unit     string // "×", "MB"; empty for a plain number
	target   target
	sides    []side // of a comparison, by ratio
	sideUnit string
	notes    []string // further remarks for the reader
	part     part
	cpu      [2]float64 // microseconds of processor time of the two compared sides; 0: not counted
	lost     bool       // a rival does the same work for less
	cost     bool       // for README.md
	floor    floorLine
}

// floorLine is what no daemon can beat, in the same figure as its line. The zero value was not measured.
type floorLine struct {
	name  string
	value round.Spread
}

func (f *floorLine) String() string {
	if f.name == "" {
		return ""
	}
	return f.name + ": " + spread(f.value, "×")
}

// target is the bound for a figure; the zero value is no target.
type target struct {
	atMost, atLeast float64
}

func (t target) String() string {
	switch {
	case t.atMost > 0:
		return fmt.Sprintf("at most %g", t.atMost)
	case t.atLeast > 0:
		return fmt.Sprintf("at least %g", t.atLeast)
	default:
		return ""
	}
}

// reaches says whether a figure reaches the target.
func (t target) reaches(f float64) bool { return (t.atMost == 0 || f <= t.atMost) && f >= t.atLeast }

// met says whether the median reaches the target.
func (l *line) met() bool { return l.target.reaches(l.value.Median) }

// forbidden says that the floor misses the target in the same run, so that no daemon can reach the target there.
func (l *line) forbidden() bool {
	return !l.met() && l.floor.name != "" && !l.target.reaches(l.floor.value.Median)
}

func (l *line) verdict() string {
	var text string
	switch {
	case l.target == target{}:
		text = "no target"
	case l.met():
		text = "reached"
	case l.forbidden():
		text = "floor: " + figure(l.floor.value.Median)
	default:
		text = "MISSED"
	}
	if l.value.Wide() {
		text += wideMark
	}
	return text
}

// wideMark marks a verdict on quartiles that are too far apart.
const wideMark = " ~"

// print shows the line for a terminal.
func (l *line) print(out io.Writer) {
	verdict := l.verdict()
	if t := l.target.String(); t != "" {
		verdict = t + ": " + verdict
	}
	fmt.Fprintf(out, "%-64s %s   %s\n", l.what, spread(l.value, l.unit), verdict)
	for i := range l.sides {
		fmt.Fprintf(out, "    %s\n", l.sides[i].text(l.sideUnit))
	}
	for _, n := range l.notes {
		fmt.Fprintf(out, "    %s\n", n)
	}
}

// spent shows the processor time of the compared sides.
func (l *line) spent() string {
	if l.cpu[0] == 0 || l.cpu[1] == 0 {
		return ""
	}
	return fmt.Sprintf("%s : %s", figure(l.cpu[0]), figure(l.cpu[1]))
}

// summary shows all lines in one table for a terminal.
func summary(lines []line) string {
	var s strings.Builder
	whats, spreads := 0, 0 // the widest texts
	for i := range lines {
		whats = max(whats, utf8.RuneCountInString(lines[i].what))
		spreads = max(spreads, utf8.RuneCountInString(spread(lines[i].value, lines[i].unit)))
	}
	columns := fmt.Sprintf("%%-%ds  %%-%ds  %%-13s  %%-14s  %%s\n", whats, spreads)
	for _, p := range []part{wholeJob, bareWrite, capacity} {
		fmt.Fprintf(&s, "\n"+columns, strings.ToUpper(string(p)), "median (quartiles)", "processor, µs", "target", "verdict")
		for i := range lines {
			if l := &lines[i]; l.part == p {
				fmt.Fprintf(&s, columns, l.what, spread(l.value, l.unit), l.spent(), l.target, l.verdict())
			}
		}
	}
	s.WriteString("\nfloor: a C program that answers the same client misses the target, too, in this run\n")
	fmt.Fprintf(&s, "%s the quartiles are further apart than %g ×, in each repetition that there was time for\n",
		strings.TrimSpace(wideMark), round.Steady)
	return s.String()
}

// spread shows a median with its quartiles, unless all three are equal.
func spread(s round.Spread, unit string) string {
	text := figure(s.Median)
	if unit != "" {
		text += " " + unit
	}
	if low, high := figure(s.Low), figure(s.High); low != high {
		text += fmt.Sprintf(" (%s to %s)", low, high)
	}
	return text
}

// figure shows a number with three digits that count.
func figure(f float64) string {
	const plain = 1000
	if f >= plain {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// side is a way in a comparison.
type side struct {
	name  string
	value round.Spread // in the line's own unit
	ratio round.Spread
	// cpu and server are microseconds of processor time for a piece of work: of all processes, and of the server alone; 0: not
	// counted.
	cpu, server float64
}

// timed is the line of a side's ratio to another side, with values in microseconds, and with all sides.
func timed(what string, table round.Table, of, against string, t target) line {
	l := compared(what, table, of, against, t, "µs")
	l.lost = rivals[against] && l.value.Median > 1
	return l
}

// rated is the same where a value is a rate per second.
func rated(what string, table round.Table, of, against string, t target) line {
	l := compared(what, table, of, against, t, "/s")
	l.lost = rivals[against] && l.value.Median < 1
	return l
}

func compared(what string, table round.Table, of, against string, t target, unit string) line {
	l := line{
		what: what, value: table.Ratio(of, against), unit: "×", target: t, sideUnit: unit,
		cpu: [2]float64{table.CPU(of).Median, table.CPU(against).Median},
	}
	for name := range table {
		l.sides = append(l.sides, side{
			name: name, value: table.Value(name), ratio: table.Ratio(name, against), cpu: table.CPU(name).Median,
			server: table.Server(name).Median,
		})
	}
	slices.SortFunc(l.sides, func(a, b side) int {
		return cmp.Or(cmp.Compare(a.ratio.Median, b.ratio.Median), cmp.Compare(a.name, b.name))
	})
	return l
}

// served compares the processor time of the servers alone.
func served(what string, table round.Table, of, against string, t target) line {
	return line{
		what: what, unit: "×", target: t,
		value: table.RatioOf(of, against, func(s round.Sample) float64 { return s.Server }),
		cpu:   [2]float64{table.Server(of).Median, table.Server(against).Median},
	}
}

// above returns the line with the side that no daemon can beat, and the side's ratio in the same figure as the line's.
func above(l line, table round.Table, floor, against string) line {
	l.floor = floorLine{floor, table.Ratio(floor, against)}
	return l
}

// withoutSides drops the sides of a line: an earlier line of the same measurement has the sides.
func withoutSides(l line) line {
	l.sides = nil
	return l
}

// text shows a side in a line of text.
func (s *side) text(unit string) string {
	text := fmt.Sprintf("%-36s %-28s %-24s", s.name, spread(s.value, unit), spread(s.ratio, "×"))
	if s.cpu > 0 {
		text += fmt.Sprintf("   processor %7.1f µs", s.cpu)
	}
	if s.server > 0 {
		text += fmt.Sprintf(", server %.1f", s.server)
	}
	return text
}

// page is the template of docs/performance.md.
//
//go:embed performance.md.tmpl
var page string

// The files that --write replaces.
var (
	pageFile = filepath.Join("docs", "performance.md")
	plotFile = filepath.Join("docs", "performance.svg")
	readme   = "README.md"
)

// pageText is the text of the page.
func pageText(lines []line, machine []string) (string, error) {
	var text strings.Builder
	err := template.Must(template.New("page").Parse(page)).Execute(&text, map[string]any{
		"Machine": machine, "Plot": filepath.Base(plotFile), "Sides": sides(lines), "Lost": lost(lines), "Steady": round.Steady,
		"Job": table(lines, wholeJob), "Bare": table(lines, bareWrite), "Capacity": table(lines, capacity),
	})
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", pageFile, err)
	}
	return text.String(), nil
}

// writePage writes the page, the plot, and the costs in README.md.
func writePage(lines []line, machine []string) error {
	text, err := pageText(lines, machine)
	if err != nil {
		return err
	}
	const all = 0o644 // everybody may read documentation
	if err := os.WriteFile(pageFile, []byte(text), all); err != nil {
		return err
	}
	if err := os.WriteFile(plotFile, []byte(plot(lines)), all); err != nil {
		return err
	}
	former, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	var costs strings.Builder
	if err := withCosts(&costs, string(former), lines); err != nil {
		return err
	}
	return os.WriteFile(readme, []byte(costs.String()), all)
}

// The lines of README.md around the costs.
const costsBegin, costsEnd = "<!-- cost: written by make bench ARGS=--write -->\n", "<!-- end of cost -->\n"

// withCosts writes the text of README.md with new costs.
func withCosts(out io.Writer, former string, lines []line) error {
	before, rest, begins := strings.Cut(former, costsBegin)
	_, after, ends := strings.Cut(rest, costsEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the costs", readme)
	}
	fmt.Fprint(out, before, costsBegin, "| what | ratio (quartiles) |\n| --- | --- |\n")
	for _, p := range []part{wholeJob, bareWrite} {
		for i := range lines {
			if l := &lines[i]; l.cost && l.part == p {
				fmt.Fprintf(out, "| %s | %s |\n", l.what, spread(l.value, ""))
			}
		}
	}
	_, err := fmt.Fprint(out, costsEnd, after)
	return err
}

// costs marks lines for README.md.
func costs(lines ...line) []line {
	for i := range lines {
		lines[i].cost = true
	}
	return lines
}

// table shows the figures of a part with their targets.
func table(lines []line, of part) string {
	var s strings.Builder
	s.WriteString("| what | measured: median (quartiles) | processor time, µs | target | verdict |\n")
	s.WriteString("| --- | --- | --- | --- | --- |\n")
	for i := range lines {
		if l := &lines[i]; l.part == of {
			fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n", l.what, spread(l.value, l.unit), l.spent(), l.target, l.verdict())
		}
	}
	return s.String()
}

// lost shows where a rival does the same work for less, or where a target is missed, with the floor if the row has one.
func lost(lines []line) string {
	var s strings.Builder
	s.WriteString("| what | measured: median (quartiles) | target | what no daemon can beat |\n| --- | --- | --- | --- |\n")
	for i := range lines {
		if l := &lines[i]; l.lost || !l.met() {
			fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", l.what, spread(l.value, l.unit), l.target, &l.floor)
		}
	}
	return s.String()
}

// sides shows every comparison with all ways.
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
		fmt.Fprintf(&s, "| way | median (quartiles), %s | ratio (quartiles) | processor time, µs | of it the server |\n", l.sideUnit)
		s.WriteString("| --- | --- | --- | ---: | ---: |\n")
		for _, side := range l.sides {
			fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n",
				side.name, spread(side.value, ""), spread(side.ratio, ""), counted(side.cpu), counted(side.server))
		}
	}
	return s.String()
}

// counted shows a processor time, and nothing if it was not counted.
func counted(microseconds float64) string {
	if microseconds == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", microseconds)
}

// The plot's measures in pixels.
const (
	plotWidth  = 860
	labelWidth = 250
	barHeight  = 14
	rowHeight  = 20
	titleRoom  = 34
	margin     = 20
)

// The plot's scale is logarithmic and ends here.
const leastRatio, mostRatio = 0.02, 50.0

// plot draws every comparison as bars of ratios, as an SVG picture.
func plot(lines []line) string {
	var s strings.Builder
	y := margin
	for i := range lines {
		if l := &lines[i]; len(l.sides) > 0 {
			y = l.draw(&s, y)
		}
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"`, plotWidth, y+margin) +
		` font-family="sans-serif" font-size="12">` + "\n" + `<rect width="100%" height="100%" fill="white"/>` + "\n"
	return head + s.String() + "</svg>\n"
}

// draw adds a comparison below y and returns the y of the next comparison.
func (l *line) draw(s *strings.Builder, y int) int {
	fmt.Fprintf(s, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", margin, y+margin, html.EscapeString(l.what))
	top := y + titleRoom
	for i, side := range l.sides {
		at := top + i*rowHeight
		colour := "#9aa5b1"
		if strings.HasPrefix(side.name, ticketd) {
			colour = "#2a6fb0"
		}
		fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
			labelWidth-8, at+barHeight-2, html.EscapeString(side.name))
		fmt.Fprintf(s, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
			labelWidth, at, across(side.ratio.Median)-labelWidth, barHeight, colour)
		fmt.Fprintf(s, `<path d="M%.1f %d H%.1f" stroke="black"/>`+"\n",
			across(side.ratio.Low), at+barHeight/2, across(side.ratio.High))
		fmt.Fprintf(s, `<text x="%.1f" y="%d">%s</text>`+"\n",
			math.Max(across(side.ratio.High), across(side.ratio.Median))+6, at+barHeight-2, figure(side.ratio.Median))
	}
	bottom := top + len(l.sides)*rowHeight
	if t := max(l.target.atMost, l.target.atLeast); t > 0 {
		fmt.Fprintf(s, `<path d="M%.1f %d V%d" stroke="#c0392b" stroke-dasharray="4 3"/>`+"\n", across(t), top-4, bottom)
	}
	return bottom
}

// across is where a ratio lies.
func across(ratio float64) float64 {
	const room = plotWidth - labelWidth - 4*margin
	ratio = math.Min(math.Max(ratio, leastRatio), mostRatio)
	return labelWidth + room*math.Log(ratio/leastRatio)/math.Log(mostRatio/leastRatio)
}
