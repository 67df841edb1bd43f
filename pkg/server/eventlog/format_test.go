package eventlog

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestJSONWhereStandardErrorIsTheJournal: the variable alone does not make it so.
func TestJSONWhereStandardErrorIsTheJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	for _, c := range []struct {
		stream, want string
		out          io.Writer
	}{
		{fmt.Sprintf("%d:%d", st.Dev, st.Ino), `<4>{"time":`, f},
		{fmt.Sprintf("%d:%d", st.Dev, st.Ino+1), "time=", f},
		{"", "time=", f},
		{"0:0", "time=", &bytes.Buffer{}},
	} {
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		f.Seek(0, io.SeekStart)
		t.Setenv("JOURNAL_STREAM", c.stream)
		h, err := NewHandler(FormatAuto, c.out, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		slog.New(h).With("a", 1).WithGroup("g").Warn("hello", "b", 2)
		text, err := os.ReadFile(f.Name())
		if b, ok := c.out.(*bytes.Buffer); ok {
			text = b.Bytes()
		}
		if err != nil || !strings.HasPrefix(string(text), c.want) || !strings.HasSuffix(string(text), "\n") {
			t.Errorf("%+v gave %q, %v", c, text, err)
		}
		if strings.HasPrefix(c.want, "<") && !strings.HasSuffix(string(text), `"msg":"hello","a":1,"g":{"b":2}}`+"\n") {
			t.Errorf("%q", text)
		}
	}
}

func TestSeverities(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newEach(&slog.HandlerOptions{Level: slog.LevelDebug}, prefixed(&out)))
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d")
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		got = append(got, line[:3])
	}
	if strings.Join(got, "") != "<7><6><4><3>" {
		t.Errorf("%q", got)
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := NewHandler("xml", io.Discard, slog.LevelInfo); err == nil || !strings.Contains(err.Error(), "auto, text, json, syslog") {
		t.Errorf("%v", err)
	}
}
