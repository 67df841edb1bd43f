package pages

import (
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Size of a plot in the units of its drawing.
const (
	plotWidth  = 600
	plotHeight = 96
)

// plot is a bar for each day, drawn by the server. A table with the same numbers stands beside it.
type plot struct {
	Kind          string // opened or refused
	Label         string // what it shows, for everybody
	Max           string // the highest bar's value
	Width, Height int
	Bars          []bar
	First, Last   string
}

type bar struct {
	X, Y, W, H int
	Title      string
}

// dayRow is one day in the table.
type dayRow struct{ Day, Opened, Refused string }

func (x *exchange) dayRows(days []store.DayTally) []dayRow {
	rows := make([]dayRow, 0, len(days))
	for i := len(days) - 1; i >= 0; i-- {
		d := days[i]
		rows = append(rows, dayRow{x.date(d.Day), x.number(d.Opened), x.number(d.Refused)})
	}
	return rows
}

// attemptPlots draws who was let in and who was refused apart: a few refusals would not be seen beside thousands.
func (x *exchange) attemptPlots(days []store.DayTally) []plot {
	return []plot{
		x.plot("opened", days, func(d store.DayTally) int64 { return d.Opened }),
		x.plot("refused", days, func(d store.DayTally) int64 { return d.Refused }),
	}
}

func (x *exchange) plot(kind string, days []store.DayTally, value func(store.DayTally) int64) plot {
	var highest, sum int64
	for _, d := range days {
		highest = max(highest, value(d))
		sum += value(d)
	}
	p := plot{Kind: kind, Max: x.number(highest), Width: plotWidth, Height: plotHeight,
		Label: x.text("admin.plot."+kind, x.number(sum), strconv.Itoa(len(days)))}
	if len(days) == 0 {
		return p
	}
	p.First, p.Last = days[0].Day.Format(time.DateOnly), days[len(days)-1].Day.Format(time.DateOnly)
	step := plotWidth / len(days)
	for i, d := range days {
		n := value(d)
		if n == 0 {
			continue
		}
		h := max(2, int(n*plotHeight/highest)) // one is seen beside a thousand
		p.Bars = append(p.Bars, bar{X: i*step + 2, Y: plotHeight - h, W: step - 4, H: h, Title: x.date(d.Day) + ": " + x.number(n)})
	}
	return p
}
