package eventlog

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Messages of the three kinds of line.
const (
	msgAttempt = "attempt" // a host asked whether somebody may enter
	msgChange  = "change"  // a latch or a pairing changed
	msgAct     = "act"     // of an administrator, an API user or the server itself
)

// maxValue bounds one value, in bytes.
const maxValue = 256

// entryRecord makes the line of one entry of the history. What came from a host or a person is cleaned and cut.
func entryRecord(e store.Entry) slog.Record {
	msg := msgChange
	if e.Action == store.ActionGet {
		msg = msgAttempt
	}
	r := slog.NewRecord(time.UnixMilli(e.T).UTC(), slog.LevelInfo, msg, 0)
	if msg == msgAttempt && e.Value == "off" {
		r.Level = slog.LevelWarn
	}
	r.AddAttrs(slog.Int64("id", e.ID), text("user", e.User), text("app", e.App), text("name", e.Name), text("what", e.What),
		text("value", e.Value))
	if msg == msgChange {
		r.AddAttrs(text("was", e.Was), text("action", e.Action))
	}
	r.AddAttrs(text("ip", e.IP), text("agent", e.UserAgent))
	if e.Count > 1 {
		r.AddAttrs(slog.Int("count", e.Count))
	}
	if e.Silent {
		r.AddAttrs(slog.Bool("silent", true))
	}
	if len(e.Context) > 0 {
		r.AddAttrs(group("host", e.Context))
	}
	return r
}

// actRecord makes the line of one act.
func actRecord(a store.Act) slog.Record {
	r := slog.NewRecord(time.UnixMilli(a.T).UTC(), slog.LevelInfo, msgAct, 0)
	r.AddAttrs(slog.Int64("id", a.ID), text("act", a.Name), text("target", a.Target), text("via", a.Actor.Via),
		text("actor", a.Actor.Name), text("ip", a.Actor.IP))
	if len(a.Detail) > 0 {
		r.AddAttrs(group("detail", a.Detail))
	}
	return r
}

func group(name string, values map[string]string) slog.Attr {
	var attrs []any
	for _, key := range slices.Sorted(maps.Keys(values)) {
		attrs = append(attrs, text(clean(key), values[key]))
	}
	return slog.Group(name, attrs...)
}

func text(name, value string) slog.Attr { return slog.String(name, clean(value)) }

// clean replaces what does not print, or turns the direction of what follows, and cuts at maxValue bytes.
func clean(value string) string {
	if len(value) > maxValue {
		value = value[:maxValue]
		for len(value) > 0 && !utf8.RuneStart(value[len(value)-1]) {
			value = value[:len(value)-1]
		}
		if r, size := utf8.DecodeLastRuneInString(value); r == utf8.RuneError && size == 1 {
			value = value[:len(value)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(value, string(utf8.RuneError)))
}
