package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// row is one line of a table: column names and values, in order.
type row []struct {
	name  string
	value any
}

// table writes rows under their column names, or as a JSON list called name.
func (p *program) table(name string, rows []row) error {
	if p.json {
		list := make([]map[string]any, 0, len(rows))
		for _, r := range rows {
			object := make(map[string]any, len(r))
			for _, c := range r {
				object[c.name] = c.value
			}
			list = append(list, object)
		}
		return p.print(map[string]any{name: list})
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintf(p.errOut, "latch-server: no %s\n", name)
		return err
	}
	w := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	for i, r := range rows {
		heads, cells := make([]string, len(r)), make([]string, len(r))
		for j, c := range r {
			heads[j], cells[j] = strings.ToUpper(strings.ReplaceAll(c.name, "_", " ")), cell(c.value)
		}
		if i == 0 {
			fmt.Fprintln(w, strings.Join(heads, "\t"))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func cell(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		if v == "" {
			return "-"
		}
		return v
	}
	return fmt.Sprint(v)
}
