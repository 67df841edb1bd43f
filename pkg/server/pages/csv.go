package pages

import (
	"encoding/csv"
	"io"
	"strings"
)

// csvWriter writes rows as RFC 4180 has them, for a spreadsheet.
type csvWriter struct{ csv *csv.Writer }

// byteOrderMark says UTF-8 to spreadsheets, which would read another encoding into names otherwise.
const byteOrderMark = "\ufeff"

func newCSV(w io.Writer) csvWriter {
	io.WriteString(w, byteOrderMark) // what fails here fails with the first row too
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return csvWriter{c}
}

func (c csvWriter) row(cells ...string) error {
	for i, cell := range cells {
		cells[i] = harmless(cell)
	}
	return c.csv.Write(cells)
}

// harmless keeps a spreadsheet from taking a text that others chose for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
