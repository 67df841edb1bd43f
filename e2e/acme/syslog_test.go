package acme

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestActsReachSyslog: as one JSON object each, those of other processes too, by whom and from where.
func TestActsReachSyslog(t *testing.T) {
	dir := data(t, "https://"+name+":8443")
	s := serve(t, nil, "--data", dir, "--listen", "127.0.0.1:8443", "--tls-self-signed", "--log", "syslog")
	run(t, "app", "add", "servers", "--data", dir, "--json")
	lines := bed.log.Await(`"act":"application.add"`)
	if len(lines) != 1 {
		t.Fatalf("%d lines: %q; stderr %s", len(lines), lines, s.log)
	}
	_, text, found := strings.Cut(lines[0], ": ")
	var line struct{ Msg, Act, Target, Via, Actor, Level string }
	if err := json.Unmarshal([]byte(text), &line); err != nil || !found {
		t.Fatalf("%v in %q", err, lines[0])
	}
	if line.Msg != "act" || line.Via != "command" || line.Actor != "root" || line.Target != "servers" {
		t.Errorf("%+v", line)
	}
	// authpriv.info, RFC 5424: 10 * 8 + 6
	if !strings.HasPrefix(lines[0], "<86>") || !strings.Contains(lines[0], " latch-server[") {
		t.Errorf("%q", lines[0])
	}
}
