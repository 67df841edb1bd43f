package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/latch-linux/latch/pkg/setup/doctor"
)

// TestFindingsFitATerminal: no line is wider than 80 columns, no word of a text is lost, and commands stay in one piece.
func TestFindingsFitATerminal(t *testing.T) {
	const fix = "latch operation add backup --save --profile openvpn --config /o/v.conf"
	long := strings.Repeat("/a-long-directory", 12)
	text := findingsText([]doctor.Finding{
		{Check: "module", Text: "/usr/lib/x86_64-linux-gnu/security/pam_latch.so"},
		{Check: "service gdm-password", Profile: "system", State: doctor.Warn, Text: strings.Repeat("eine Übung ", 20), Fix: fix},
		{Check: "server", Profile: "openvpn", State: doctor.Fail, Text: long, Fix: strings.Repeat("do this, ", 30)},
	})
	lines := strings.Split(text, "\n")
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 80 || strings.HasSuffix(line, " ") {
			t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	if strings.Fields(lines[0])[1] != "PROFILE" || strings.Fields(lines[1])[1] != "-" || !strings.Contains(text, "  fix: "+fix+"\n") {
		t.Errorf("printed\n%s", text)
	}
	joined := strings.Join(strings.Fields(text), "")
	if !strings.Contains(joined, long) || strings.Count(joined, "eineÜbung") != 20 || strings.Count(joined, "dothis,") != 30 {
		t.Errorf("something is lost in\n%s", text)
	}
}
