package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEveryCodeHasMessageAndAdvice(t *testing.T) {
	codes := Codes()
	slices.Sort(codes)
	if len(codes) != len(slices.Compact(codes)) || len(codes) < 26 {
		t.Fatalf("codes %v", codes)
	}
	for _, code := range codes {
		if Message(code) == "" || Advice(code) == "" || Advice(code) == Advice(999) {
			t.Errorf("code %d has message %q and advice %q", code, Message(code), Advice(code))
		}
		if strings.HasSuffix(Advice(code), ".") {
			t.Errorf("code %d: advice ends with a full stop, but stands inside sentences", code)
		}
	}
	if Message(999) != "" || Advice(999) == "" {
		t.Errorf("an unknown code has message %q and advice %q", Message(999), Advice(999))
	}
	if got := (&Error{Code: 102, Message: "a\nb"}).Error(); got != `the Latch server says 102: "a\nb"` {
		t.Errorf("error text %q", got)
	}
}

func TestIDs(t *testing.T) {
	repeat := strings.Repeat
	for name, c := range map[string]struct{ got, want bool }{
		"account of 64":             {ValidAccountID(repeat("aZ09", 16)), true},
		"account of 63":             {ValidAccountID(repeat("a", 63)), false},
		"account of 65":             {ValidAccountID(repeat("a", 65)), false},
		"account with a slash":      {ValidAccountID(repeat("a", 63) + "/"), false},
		"account of 32 wide runes":  {ValidAccountID(repeat("ñ", 32)), false},
		"account with a newline":    {ValidAccountID(repeat("a", 63) + "\n"), false},
		"application of 20":         {ValidAppID(repeat("0S5lIoO1xY", 2)), true},
		"application of 19":         {ValidAppID(repeat("a", 19)), false},
		"application empty":         {ValidAppID(""), false},
		"secret of 40 signs":        {ValidSecret(repeat("#;\\\"", 10)), true},
		"secret with a blank":       {ValidSecret(repeat("a", 39) + " "), false},
		"secret of 41":              {ValidSecret(repeat("a", 41)), false},
		"secret not ASCII":          {ValidSecret(repeat("a", 38) + "ñ"), false},
		"token":                     {ValidToken("g4K9wz"), true},
		"token of 7":                {ValidToken("g4K9wz2"), false},
		"code":                      {ValidCode("tK9wZm"), true},
		"code with I and o":         {ValidCode("tIowZm"), true},
		"code with a blank":         {ValidCode("tK9wZ "), false},
		"code with a dot":           {ValidCode("tK9w/."), false},
		"code with 5, l or S":       {ValidCode("tK9wZ5") || ValidCode("tK9wZl") || ValidCode("tK9wZS"), false},
		"code with 0, 1 or O":       {ValidCode("tK9wZ0") || ValidCode("tK9wZ1") || ValidCode("tK9wZO"), false},
		"alphabet of 54":            {len(Alphabet) == 54 && !strings.ContainsAny(Alphabet, "015IOSlo"), true},
		"alphabet without repeats":  {len(slices.Compact(slices.Sorted(slices.Values([]byte(Alphabet))))) == 54, true},
		"version 1.3 among the old": {slices.Contains(Versions(), "1.3") && slices.Contains(Versions(), "3.0"), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", name, c.got)
		}
	}
	if got := Path("1.3", "status", "x", "nootp"); got != "/api/1.3/status/x/nootp" {
		t.Errorf("path %q", got)
	}
}

// What old clients find by searching the text must stay findable.
func TestStatusAnswerIsCompactAndOrdered(t *testing.T) {
	data, err := json.Marshal(Answer{Data: StatusData{map[string]StatusNode{"A": {Status: StatusOff, TwoFactor: &TwoFactor{"g4K9wz", 7}}}}})
	want := `{"data":{"operations":{"A":{"status":"off","two_factor":{"token":"g4K9wz","generated":7}}}}}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v, want %s", data, err, want)
	}
	data, _ = json.Marshal(Answer{Error: &Error{102, "m"}})
	if string(data) != `{"error":{"code":102,"message":"m"}}` {
		t.Errorf("error answer %s", data)
	}
	if data, _ = json.Marshal(Answer{}); string(data) != `{}` {
		t.Errorf("empty answer %s", data)
	}
}

func TestHistoryRoundTrip(t *testing.T) {
	h := History{
		AppID: strings.Repeat("A", AppIDLength),
		Application: HistoryApplication{Status: StatusOn, PairedOn: 1428528090941, Name: `a "name"`, TwoFactor: ModeDisabled,
			Operations: map[string]HistoryOperation{"op": {Name: "ssh", Status: StatusOff, Operations: map[string]HistoryOperation{}}}},
		LastSeen: 5, ClientVersion: []ClientVersion{{"Android", "1.5.1"}}, Count: 1,
		Entries: []HistoryEntry{{Time: 9, Action: "get", What: "status", Value: "on", Was: "-", Name: "n", UserAgent: "u", IP: "127.0.0.1"}},
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back History
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(h, back) {
		t.Errorf("became %+v, was %+v", back, h)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil || top[h.AppID] == nil || top["history"] == nil || top["lastSeen"] == nil {
		t.Errorf("wire form %s, %v", data, err)
	}
}

func TestHistoryAsTheServiceSendsIt(t *testing.T) {
	id := strings.Repeat("b", AppIDLength)
	wire := `{"` + id + `":{"status":"on","name":"x","autoclose":"180","operations":{"o":{"name":"y","status":"off","autoclose":"180","skipPush":true,"customName":"","operations":{}}}},
		"lastSeen":3,"clientVersion":[{"platform":"Android","app":"1"}],"count":1,"history":[{"t":1,"action":"get","value":"on"}],"new":{"a":1}}`
	var h History
	if err := json.Unmarshal([]byte(wire), &h); err != nil {
		t.Fatal(err)
	}
	if h.AppID != id || h.Application.Operations["o"].Status != StatusOff || h.LastSeen != 3 || len(h.Entries) != 1 || h.Entries[0].Was != "" {
		t.Errorf("read as %+v", h)
	}
	for name, bad := range map[string]string{
		"two applications": `{"` + id + `":{},"` + strings.Repeat("c", AppIDLength) + `":{}}`,
		"text for object":  `{"` + id + `":"x"}`,
		"list":             `[]`,
		"text for count":   `{"count":"1"}`,
	} {
		if err := json.Unmarshal([]byte(bad), new(History)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
