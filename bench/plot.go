package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

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

// plot draws every comparison as bars of its ways' ratios, as an SVG picture.
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

// draw adds one comparison below y and returns where the next may begin.
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
