package client

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/client/latchtest"
)

const goodAnswer = `{"data":{"operations":{"` + latchtest.AppID + `":{"status":"on"}}}}`

// FuzzStatus holds the reader of answers against a second one of another make, in both directions: nothing but a
// plain "on" of the node that was asked for opens, and that does.
func FuzzStatus(f *testing.F) {
	closed := strings.Replace(goodAnswer, "on\"}", "off\"}", 1)
	token := strings.Replace(goodAnswer, `"on"`, `"on","two_factor":{"token":"g4K9wz","generated":1}`, 1)
	for _, body := range []string{goodAnswer, closed, token, "", "null", "{}", " " + goodAnswer + "\n", goodAnswer + closed, "[" + goodAnswer + "]",
		`{"error":null,` + goodAnswer[1:], `{"error":{"code":201,"message":"m"},` + goodAnswer[1:], `{"error":{"code":102}}`, `{"error":0}`,
		strings.Replace(goodAnswer, "status", `\u0073tatus`, 1), strings.Replace(goodAnswer, "status", "STATUS", 1),
		strings.Replace(goodAnswer, `"on"`, `"on","status":"off"`, 1), strings.Replace(goodAnswer, `"on"`, `"\u006fn"`, 1),
		strings.Replace(goodAnswer, "}}}}", "},}}}", 1), `{"data":{},` + goodAnswer[1:], "\ufeff" + goodAnswer,
		strings.Replace(token, "g4K9wz", "g4K9w\xff", 1), strings.Replace(token, ":1}", ":1.5}", 1)} {
		f.Add([]byte(body), 200, true)
		f.Add([]byte(body), 200, false)
	}
	for _, status := range []int{204, 301, 401, 429, 500, 999} {
		f.Add([]byte(goodAnswer), status, false)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int, wantsToken bool) {
		resp := &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, Header: http.Header{}}
		var s Status
		a, err := readAnswer(resp, body, maxBody)
		if err == nil {
			s, err = readStatus(a.data, latchtest.AppID, wantsToken)
		}
		want := status >= 200 && status <= 299 && status != 204 && len(body) <= maxBody && plainlyOn(body, wantsToken)
		if (err == nil && s.Open) != want {
			t.Fatalf("open %v, error %v, want open %v: %d %q", s.Open, err, want, status, body)
		}
		if err != nil && (s.Open || s.Token != "") {
			t.Fatalf("an error beside %+v", s)
		}
		if err != nil && KindOf(err) == KindLocal {
			t.Fatalf("a server's answer is a fault of this machine: %v", err)
		}
	})
}

// plainlyOn reads with json.Unmarshal and maps. The names on the way are looked for twice, by walking over them.
func plainlyOn(body []byte, wantsToken bool) bool {
	var whole map[string]any
	if json.Unmarshal(body, &whole) != nil || whole["error"] != nil {
		return false
	}
	path := []string{"data", "operations", latchtest.AppID, "status"}
	var at any = whole
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		at = m[name]
	}
	if at != "on" || repeats(json.NewDecoder(bytes.NewReader(body)), path[:3]) {
		return false
	}
	var typed struct {
		Data struct {
			Operations map[string]map[string]json.RawMessage
		}
	}
	if json.Unmarshal(body, &typed) != nil {
		// Only names in other letters can make this fail where the maps did not.
		return !wantsToken
	}
	raw, found := typed.Data.Operations[latchtest.AppID]["two_factor"]
	return !wantsToken || !found || string(raw) == "null" || plainToken(raw)
}

func plainToken(raw []byte) bool {
	var token map[string]any
	if json.Unmarshal(raw, &token) != nil || repeats(json.NewDecoder(bytes.NewReader(raw)), nil) {
		return false
	}
	text, isText := token["token"].(string)
	var made struct {
		Exact *int64 `json:"generated"`
	}
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &fields)
	_, isNumber := token["generated"].(float64)
	whole := isNumber && json.Unmarshal([]byte(`{"generated":`+string(fields["generated"])+`}`), &made) == nil
	return isText && len(text) == 6 && strings.Trim(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && whole
}

// repeats tells whether a name stands twice in the object, or in those that path leads to.
func repeats(dec *json.Decoder, path []string) bool {
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return false
	}
	names, twice := map[string]bool{}, false
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return twice
		}
		name := token.(string)
		twice = twice || names[name]
		names[name] = true
		if len(path) > 0 && name == path[0] {
			var value json.RawMessage
			if dec.Decode(&value) != nil {
				return twice
			}
			twice = repeats(json.NewDecoder(bytes.NewReader(value)), path[1:]) || twice
			continue
		}
		var skipped any
		if dec.Decode(&skipped) != nil {
			return twice
		}
	}
	return twice
}

// realCertificates are DER certificates of several makes.
func realCertificates(f *testing.F) [][]byte {
	var all [][]byte
	for _, fault := range []string{"none", "tls: no name", "tls: for clients"} {
		s := start(f, fault)
		block, _ := pem.Decode(s.CA)
		all = append(all, block.Bytes)
	}
	return all
}

// FuzzSubject: the scan for a certificate's subject never panics and agrees with crypto/x509, whose field it stands for.
func FuzzSubject(f *testing.F) {
	for _, der := range realCertificates(f) {
		f.Add(der)
		f.Add(der[:len(der)/2])
		f.Add(append(bytes.Clone(der), 0))
	}
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		subject := subjectOf(der)
		cert, err := x509.ParseCertificate(der)
		if err == nil && !bytes.Equal(subject, cert.RawSubject) {
			t.Fatalf("subject %x, crypto/x509 says %x", subject, cert.RawSubject)
		}
	})
}

// FuzzBundle: what is picked from a PEM file is what crypto/x509 takes from it.
func FuzzBundle(f *testing.F) {
	all := realCertificates(f)
	var bundle []byte
	for _, der := range all {
		one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		bundle = append(append(bundle, "# a comment\n"...), one...)
		f.Add(one)
		f.Add(bytes.ReplaceAll(one, []byte("\n"), []byte("\r\n")))
		f.Add(one[:len(one)-10])
	}
	f.Add(bundle)
	f.Add(append(bytes.Clone(bundle), bundle...))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: all[0]}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: all[0]}))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		want := x509.NewCertPool()
		some := want.AppendCertsFromPEM(bundle)
		wanted := map[string]bool{}
		for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				wanted[string(cert.RawSubject)] = true
			}
		}
		got := index(bundle)
		if !got.pick(wanted).Equal(want) {
			t.Fatal("picked others than crypto/x509")
		}
		if some && len(got) == 0 {
			t.Fatal("a bundle with certificates counts as broken")
		}
		if !got.pick(nil).Equal(x509.NewCertPool()) {
			t.Fatal("picked what nobody asked for")
		}
	})
}
