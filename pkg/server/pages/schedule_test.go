package pages

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

// spoken is an exchange in a language, at an instant.
func spoken(b *bed, lang string, now time.Time) *exchange {
	b.start = now
	x := b.site.newExchange(httptest.NewRecorder(), httptest.NewRequest("GET", testURL, nil))
	x.lang, x.visitor = lang, &visitor{}
	return x
}

func TestNextChangeInWords(t *testing.T) {
	b := newBed(t)
	now := time.Date(2026, 3, 27, 12, 0, 30, 0, time.UTC) // a Friday, 13:00 in Madrid
	for _, c := range []struct {
		at     time.Time
		open   bool
		en, es string
	}{
		{time.Date(2026, 3, 27, 21, 0, 0, 0, time.UTC), false, "Closes today at 22:00", "Se cierra hoy a las 22:00"},
		{time.Date(2026, 3, 27, 23, 30, 0, 0, time.UTC), true, "Opens tomorrow at 00:30", "Se abre mañana a las 00:30"},
		{time.Date(2026, 3, 29, 6, 0, 0, 0, time.UTC), true, "Opens on Sunday at 08:00", "Se abre el domingo a las 08:00"}, // in summer time
		{time.Date(2026, 4, 3, 6, 0, 0, 0, time.UTC), false, "Closes on 3 April 2026 at 08:00", "Se cierra el 3 de abril de 2026 a las 08:00"},
	} {
		n := store.NodeState{Schedule: "Europe/Madrid; daily 08:00-22:00", Next: store.Change{At: c.at.UnixMilli(), Open: c.open}}
		if got := spoken(b, "en", now).nextChange(n); got != c.en {
			t.Errorf("got %q, want %q", got, c.en)
		}
		if got := spoken(b, "es", now).nextChange(n); got != c.es {
			t.Errorf("got %q, want %q", got, c.es)
		}
	}
	if got := spoken(b, "en", now).nextChange(store.NodeState{}); got != "" {
		t.Errorf("nothing changes, and it says %q", got)
	}
}

func TestWindowsInWords(t *testing.T) {
	b := newBed(t)
	for text, want := range map[string][2]string{
		"mon-fri 08:00-22:00":   {"Monday to Friday, 08:00 to 22:00", "De lunes a viernes, de 08:00 a 22:00"},
		"daily 22:00-06:00":     {"Every day, 22:00 to 06:00", "Todos los días, de 22:00 a 06:00"},
		"sat,sun 00:00-24:00":   {"Saturday, Sunday, 00:00 to 24:00", "sábado, domingo, de 00:00 a 24:00"},
		"fri-sun 01:00-02:00":   {"Friday to Sunday, 01:00 to 02:00", "De viernes a domingo, de 01:00 a 02:00"},
		"mon,tue,thu 1:00-2:00": {"Monday, Tuesday, Thursday, 01:00 to 02:00", "lunes, martes, jueves, de 01:00 a 02:00"},
	} {
		w, err := schedule.ParseWindow(text)
		b.must(err)
		for i, lang := range []string{"en", "es"} {
			if got := spoken(b, lang, time.Now()).windowText(w); got != want[i] {
				t.Errorf("%s in %s is %q, want %q", text, lang, got, want[i])
			}
		}
	}
}

func TestReadWeek(t *testing.T) {
	b := newBed(t)
	for name, c := range map[string]struct {
		form          url.Values
		want, problem string
	}{
		"one row": {form: url.Values{"zone": {"Europe/Madrid"}, "day.0": {"1", "2"}, "from.0": {"08:00"}, "to.0": {"22:00"}},
			want: "Europe/Madrid; mon,tue 08:00-22:00"},
		"an empty row between": {form: url.Values{"zone": {" UTC "}, "day.0": {"1"}, "from.0": {"08:00"}, "to.0": {"22:00"},
			"from.1": {""}, "to.1": {""}, "day.2": {"6"}, "from.2": {"22:00"}, "to.2": {"00:00"}},
			want: "UTC; mon 08:00-22:00; sat 22:00-00:00"},
		"a whole day":     {form: url.Values{"zone": {"UTC"}, "day.0": {"0"}, "from.0": {"00:00"}, "to.0": {"00:00"}}, want: "UTC; sun 00:00-24:00"},
		"nothing":         {form: url.Values{"zone": {"UTC"}}, problem: "schedule.error.none"},
		"no days":         {form: url.Values{"zone": {"UTC"}, "from.0": {"08:00"}, "to.0": {"22:00"}}, problem: "schedule.error.days"},
		"another day":     {form: url.Values{"zone": {"UTC"}, "day.0": {"7"}, "from.0": {"08:00"}, "to.0": {"22:00"}}, problem: "schedule.error.days"},
		"one time":        {form: url.Values{"zone": {"UTC"}, "day.0": {"1"}, "from.0": {"08:00"}}, problem: "schedule.error.time"},
		"the same times":  {form: url.Values{"zone": {"UTC"}, "day.0": {"1"}, "from.0": {"08:00"}, "to.0": {"08:00"}}, problem: "schedule.error.same"},
		"no zone":         {form: url.Values{"day.0": {"1"}, "from.0": {"08:00"}, "to.0": {"09:00"}}, problem: "schedule.error.zone"},
		"an unknown zone": {form: url.Values{"zone": {"Mars"}, "day.0": {"1"}, "from.0": {"08:00"}, "to.0": {"09:00"}}, problem: "schedule.error.zone"},
	} {
		week, typed, problem := spoken(b, "en", time.Now()).readWeek(c.form)
		if week.String() != c.want || problem != c.problem {
			t.Errorf("%s: %q and %q, want %q and %q", name, week, problem, c.want, c.problem)
		}
		if len(typed.Windows) < spareWindows {
			t.Errorf("%s: the form has %d rows", name, len(typed.Windows))
		}
		if problem != "" && !b.site.texts.has(problem) {
			t.Errorf("%q has no text", problem)
		}
	}
}

func TestSchedulePages(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.start = time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC) // a Friday, 13:00 in Madrid
	c, ana := b.join("ana")
	app, _, err := b.store.AddApplication(b.ctx, store.Application{Name: "servers"})
	b.must(err)
	ssh, err := b.store.AddOperation(b.ctx, app, app.ID, store.Operation{Name: "ssh"})
	b.must(err)
	_, err = b.store.Import(b.ctx, app, []string{"ana"})
	b.must(err)
	here := latchRef{app.ID, store.Target{OperationID: ssh.ID}}.SchedulePage()
	shows := func(path string, texts ...string) {
		t.Helper()
		page := c.get(path)
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not show %q:\n%s", path, text, page)
			}
		}
	}
	shows("/schedule", "servers / ssh", "No schedule")
	for _, path := range []string{"/schedule", "/?fragment=live"} {
		if page := html.UnescapeString(c.get(path)); !strings.Contains(page, `href="`+here+`"`) {
			t.Errorf("%s has no link to %s:\n%s", path, here, page)
		}
	}
	shows(here, "Schedule of servers / ssh", `name="day.1"`)
	form := url.Values{"app": {app.ID}, "operation": {ssh.ID}, "zone": {"Europe/Madrid"}, "day.0": {"1", "5"}, "from.0": {"08:00"}, "to.0": {"22:00"}}
	if to := c.post("/schedule", form); to != here {
		t.Errorf("saving leads to %q", to)
	}
	shows(here, "The schedule is saved", "Closes today at 22:00", `value="Europe/Madrid"`, `name="day.0" value="5" checked`, `value="08:00"`)
	shows("/schedule", "Monday, Friday, 08:00 to 22:00", "Closes today at 22:00")
	c.cookies[zoneCookie] = "America/New_York"
	shows(here, "Closes today at 17:00")
	form.Set("zone", "Mars/Olympus")
	c.refused("/schedule", form, http.StatusUnprocessableEntity, "schedule.error.zone")

	c.post("/schedule/hold", url.Values{"app": {app.ID}, "operation": {ssh.ID}, "hold": {"yes"}})
	shows(here, "is paused")
	b.offset.Add(int64(12 * time.Hour))
	shows(here, "Resume the schedule", "Open</span>")
	c.post("/schedule/hold", url.Values{"app": {app.ID}, "operation": {ssh.ID}, "hold": {"no"}})
	shows(here, "Closed</span>", "Opens on Monday at 02:00")
	c.post("/schedule/remove", url.Values{"app": {app.ID}, "operation": {ssh.ID}})
	shows("/schedule", "No schedule")

	eva, _ := b.join("eva")
	if resp := eva.do("GET", here, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another person's latch: %s", resp.Status)
	}
	if resp := eva.do("POST", "/schedule/remove", url.Values{"app": {app.ID}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("changing another person's latch: %s", resp.Status)
	}
	lines, err := b.store.Log("ana", 10)
	b.must(err)
	if last := lines[len(lines)-1]; last.What != "schedule" || last.Value != "removed" || last.User != "ana" || ana == 0 {
		t.Errorf("the history ends with %+v", last)
	}
}
