package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// table prints rows in Markdown, columns aligned: text to the left, everything after the first `text` columns to the right.
func table(out io.Writer, text int, rows ...[]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
		if i >= text {
			rule[i] = strings.Repeat("-", max(w-1, 1)) + ":"
		}
	}
	for _, row := range slices.Insert(slices.Clone(rows), 1, rule) {
		cells := make([]string, len(row))
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < text {
				cells[i] = cell + gap
			} else {
				cells[i] = gap + cell
			}
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

// quantile returns the value below which the share q of the samples lies.
func quantile[T any](samples []T, q float64, compare func(a, b T) int) T {
	sorted := slices.SortedFunc(slices.Values(samples), compare)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func durationAt(samples []time.Duration, q float64) time.Duration {
	return quantile(samples, q, cmp.Compare[time.Duration])
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }

// ratio is a to b, "-" where b says nothing.
func ratio(a, b float64) string {
	if b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
