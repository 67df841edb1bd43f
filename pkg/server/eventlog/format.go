package eventlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Formats of the log.
const (
	FormatAuto   = "auto"   // JSON where standard error is systemd's journal, else text
	FormatText   = "text"   // key=value, on standard error
	FormatJSON   = "json"   // one JSON object a line, on standard error
	FormatSyslog = "syslog" // one JSON object a message, to the local syslog socket, facility authpriv
)

// Formats lists what NewHandler takes.
func Formats() []string { return []string{FormatAuto, FormatText, FormatJSON, FormatSyslog} }

// NewHandler returns a log in a format; errOut is standard error. An unknown format, or no syslog, is an error.
func NewHandler(format string, errOut io.Writer, level slog.Level) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case FormatAuto:
		if isJournal(errOut, os.Getenv("JOURNAL_STREAM")) {
			return newEach(options, prefixed(errOut)), nil
		}
		return slog.NewTextHandler(errOut, options), nil
	case FormatText:
		return slog.NewTextHandler(errOut, options), nil
	case FormatJSON:
		return slog.NewJSONHandler(errOut, options), nil
	case FormatSyslog:
		w, err := syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_INFO, "latch-server")
		if err != nil {
			return nil, fmt.Errorf("local syslog: %w", err)
		}
		return newEach(options, bySeverity(w)), nil
	}
	return nil, fmt.Errorf("log format %q is none of %s", format, strings.Join(Formats(), ", "))
}

// isJournal tells whether a file is the stream that systemd says it is: "device:inode". The variable alone is inherited by
// whatever a service starts, wherever its output goes.
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == strconv.FormatUint(st.Dev, 10)+":"+strconv.FormatUint(st.Ino, 10)
}

// each is a JSON handler that hands every line with its level to emit.
type each struct {
	slog.Handler
	shared *shared
}

type shared struct {
	mu   sync.Mutex
	line bytes.Buffer
	emit func(slog.Level, string) error
}

func newEach(options *slog.HandlerOptions, emit func(slog.Level, string) error) *each {
	s := &shared{emit: emit}
	return &each{slog.NewJSONHandler(&s.line, options), s}
}

func (h *each) Handle(ctx context.Context, r slog.Record) error {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.shared.line.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return h.shared.emit(r.Level, h.shared.line.String())
}

func (h *each) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &each{h.Handler.WithAttrs(attrs), h.shared}
}

func (h *each) WithGroup(name string) slog.Handler { return &each{h.Handler.WithGroup(name), h.shared} }

// severity is the level as in RFC 5424, section 6.2.1.
func severity(l slog.Level) syslog.Priority {
	switch {
	case l >= slog.LevelError:
		return syslog.LOG_ERR
	case l >= slog.LevelWarn:
		return syslog.LOG_WARNING
	case l >= slog.LevelInfo:
		return syslog.LOG_INFO
	}
	return syslog.LOG_DEBUG
}

// prefixed writes lines as sd-daemon(3) has them: the journal takes the severity from "<n>" and leaves it out.
func prefixed(w io.Writer) func(slog.Level, string) error {
	return func(l slog.Level, line string) error {
		_, err := io.WriteString(w, "<"+strconv.Itoa(int(severity(l)))+">"+line)
		return err
	}
}

func bySeverity(w *syslog.Writer) func(slog.Level, string) error {
	return func(l slog.Level, line string) error {
		switch severity(l) {
		case syslog.LOG_ERR:
			return w.Err(line)
		case syslog.LOG_WARNING:
			return w.Warning(line)
		case syslog.LOG_INFO:
			return w.Info(line)
		}
		return w.Debug(line)
	}
}
