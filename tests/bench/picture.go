package main

import (
	"fmt"
	"html"
	"strings"
)

// The picture of a group: for each figure that has a target, a bar as long as the part of the target
// it reaches. A bar that ends at or before the line (for "at most") or beyond it ("at least") meets it.

const (
	barHeight = 18
	rowGap    = 8
	labelEdge = 330
	fullBar   = 260 // pixels of a bar that equals its target
	longest   = 1.6 // bars are cut here
)

type bar struct {
	label, text string
	part        float64
	met         bool
}

func (r *report) picture(group string) string {
	var bars []bar
	for _, row := range r.Rows {
		if !strings.HasPrefix(row.Name, group+"/") {
			continue
		}
		for _, f := range row.Figures {
			target := max(f.Most, f.Least)
			if target == 0 {
				continue
			}
			bars = append(bars, bar{
				label: strings.TrimPrefix(row.Name, group+"/") + ": " + f.Name,
				text:  fmt.Sprintf("%s %s (target %s)", number(f.Value), f.Unit, f.target()),
				part:  f.Value / target,
				met:   f.met(),
			})
		}
	}
	if len(bars) == 0 {
		return ""
	}
	return draw(bars, r.Machine)
}

func draw(bars []bar, caption string) string {
	height := len(bars)*(barHeight+rowGap) + 50
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="980" height="%d" font-family="sans-serif" font-size="12">`+"\n", height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, bar := range bars {
		y := 10 + i*(barHeight+rowGap)
		color := "#2f7d4f"
		if !bar.met {
			color = "#b5402d"
		}
		width := min(bar.part, longest) * fullBar
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelEdge-8, y+13, html.EscapeString(bar.label))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelEdge, y, max(width, 1), barHeight, color)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelEdge+max(width, fullBar)+8, y+13, html.EscapeString(bar.text))
	}
	fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="4" y2="%d" stroke="#333" stroke-dasharray="4 3"/>`+"\n", labelEdge+fullBar, labelEdge+fullBar, height-36)
	fmt.Fprintf(&b, `<text x="10" y="%d" fill="#555">The dashed line is the target. %s</text>`+"\n</svg>\n", height-14, html.EscapeString(caption))
	return b.String()
}
