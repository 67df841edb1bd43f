package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// vector is one entry of testdata/signing-vectors.json, which was made by running the official SDKs.
type vector struct {
	ID            string
	Method, Path  string
	Params        [][2]string
	XHeaders      map[string]string `json:"x_headers"`
	Date          string
	AppID         string `json:"app_id"`
	Secret        string
	StringToSign  string            `json:"string_to_sign"`
	SignedParams  string            `json:"signed_params"`
	Authorization string            `json:"authorization"`
	ByEncoding    map[string]string `json:"authorization_by_encoding"`
	ParamsBy      map[string]string `json:"signed_params_by_encoding"`
	References    map[string]string `json:"reference_runs"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("../../testdata/signing-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 20 {
		t.Fatalf("%d vectors, want 20 or more", len(file.Vectors))
	}
	return file.Vectors
}

func (v vector) values() url.Values {
	values := url.Values{}
	for _, p := range v.Params {
		values.Add(p[0], p[1])
	}
	return values
}

// request is the vector as it reaches a server, signed by the given Authorization header.
func (v vector) request(t testing.TB, authorization, body string) SignedRequest {
	t.Helper()
	fields := strings.Split(authorization, " ")
	if len(fields) != 3 || fields[0] != "11PATHS" || fields[1] != v.AppID {
		t.Fatalf("authorization %q of another form", authorization)
	}
	h := http.Header{HeaderDate: {v.Date}, "User-Agent": {"test"}}
	for name, value := range v.XHeaders {
		h.Set(name, value)
	}
	return SignedRequest{Method: v.Method, Path: v.Path, Date: v.Date, Header: h, Body: body, Signature: fields[2]}
}

// inCallOrder is the body of the SDKs that do not sort what they send.
func (v vector) inCallOrder() string {
	var pairs []string
	for _, p := range v.Params {
		pairs = append(pairs, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
	}
	return strings.Join(pairs, "&")
}

func TestSignMatchesVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			params := EncodeParams(v.values())
			if params != v.SignedParams {
				t.Errorf("params %q, want %q", params, v.SignedParams)
			}
			if got := StringToSign(v.Method, v.Date, v.XHeaders, v.Path, params); got != v.StringToSign {
				t.Errorf("string to sign %q, want %q", got, v.StringToSign)
			}
			got := Sign(Credentials{v.AppID, v.Secret}, v.Method, v.Path, v.XHeaders, v.values(), v.Date)
			if got != v.Authorization {
				t.Errorf("header %q, want %q", got, v.Authorization)
			}
			if !v.request(t, got, params).Verify(v.Secret) {
				t.Error("our own signature does not verify")
			}
		})
	}
}

func TestVerifyTakesEverySDK(t *testing.T) {
	for _, v := range vectors(t) {
		bodies := map[string]string{"sorted": v.SignedParams, "in call order": v.inCallOrder()}
		for row, params := range v.ParamsBy {
			bodies["as "+row+" signs"] = params
		}
		signed := map[string]string{"form": v.Authorization}
		for name, header := range v.ByEncoding {
			signed["row "+name] = header
		}
		for name, header := range v.References {
			signed["run of "+name] = header
		}
		for who, header := range signed {
			for form, body := range bodies {
				// A reference that does not support a vector says so instead of giving a header.
				if !strings.HasPrefix(header, "11PATHS ") {
					continue
				}
				if !v.request(t, header, body).Verify(v.Secret) {
					t.Errorf("%s: %s with the body %s is refused", v.ID, who, form)
				}
			}
		}
	}
}

func TestVerifyRefusesWhatWasChanged(t *testing.T) {
	for _, v := range vectors(t) {
		good := func() SignedRequest { return v.request(t, v.Authorization, v.SignedParams) }
		changes := map[string]func(*SignedRequest){
			"path":             func(r *SignedRequest) { r.Path += "/silent" },
			"other account":    func(r *SignedRequest) { r.Path = strings.Replace(r.Path, "/api/", "/apj/", 1) },
			"query":            func(r *SignedRequest) { r.Path += "?a=b" },
			"method":           func(r *SignedRequest) { r.Method = http.MethodPatch },
			"date":             func(r *SignedRequest) { r.Date = "2025-03-09 07:05:04" },
			"no signature":     func(r *SignedRequest) { r.Signature = "" },
			"half a signature": func(r *SignedRequest) { r.Signature = r.Signature[:10] },
			"signature's case": func(r *SignedRequest) { r.Signature = strings.ToLower(r.Signature) },
			"header added":     func(r *SignedRequest) { r.Header.Set(HeaderUser, "root") },
		}
		if v.Method == http.MethodPost || v.Method == http.MethodPut {
			changes["parameter added"] = func(r *SignedRequest) { r.Body = strings.TrimPrefix(r.Body+"&zz=1", "&") }
		}
		if v.Params != nil {
			changes["body removed"] = func(r *SignedRequest) { r.Body = "" }
			changes["value changed"] = func(r *SignedRequest) { r.Body += "x" }
		}
		if v.XHeaders != nil {
			changes["header removed"] = func(r *SignedRequest) { r.Header = http.Header{} }
		}
		for what, change := range changes {
			r := good()
			if change(&r); r.Verify(v.Secret) {
				t.Errorf("%s: %s goes through", v.ID, what)
			}
		}
		if good().Verify(v.Secret+"x") || good().Verify("") || good().Verify(strings.ToUpper(v.Secret)) {
			t.Errorf("%s: a wrong secret verifies", v.ID)
		}
	}
}

func TestVerifyRepeatedHeaderIsSignedWhole(t *testing.T) {
	secret := strings.Repeat("k", SecretLength)
	path, date := "/api/1.3/status/x", "2025-03-09 07:05:03"
	header := Sign(Credentials{"id", secret}, "GET", path, map[string]string{HeaderUser: "ana"}, nil, date)
	r := SignedRequest{Method: "GET", Path: path, Date: date, Header: http.Header{HeaderUser: {"ana"}}, Signature: strings.Fields(header)[2]}
	if !r.Verify(secret) {
		t.Fatal("the signed header is refused")
	}
	r.Header.Add(HeaderUser, "root")
	if r.Verify(secret) {
		t.Error("a second value rides along unsigned")
	}
}

func TestEncodeParams(t *testing.T) {
	for name, c := range map[string]struct {
		in   url.Values
		want string
	}{
		"none":            {nil, ""},
		"empty value":     {url.Values{"a": {""}}, "a="},
		"repeated sorted": {url.Values{"i": {"web2", "web1"}}, "i=web1&i=web2"},
		"byte order":      {url.Values{"b": {"1"}, "B": {"2"}, "a_b": {"3"}}, "B=2&a_b=3&b=1"},
		"key escaped":     {url.Values{"a b": {"c&d=e"}}, "a+b=c%26d%3De"},
		"unreserved":      {url.Values{"k": {"-_.~*!'()"}}, "k=-_.~%2A%21%27%28%29"},
	} {
		if got := EncodeParams(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestStringToSignHeaders(t *testing.T) {
	got := StringToSign("get", "d", map[string]string{"X-11Paths-B": "two\nlines\r\nmore", "x-11paths-a": "1"}, "/p", "")
	if want := "GET\nd\nx-11paths-a:1 x-11paths-b:two lines more\n/p"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The SDKs that nobody ran: their rows as they are documented, with a body that says the same.
func TestVerifyRowsWithoutVectors(t *testing.T) {
	secret, path, date := strings.Repeat("k", SecretLength), "/api/3.0/totps", "2025-03-09 07:05:03"
	for name, c := range map[string]struct{ signed, body string }{
		"PHP, values encoded":        {"n=a+b%7Ec%2A", "n=a+b~c*"},
		"PHP, instances as they are": {"instances=web 1~*", "instances=web+1%7E%2A"},
		"Ruby, escaped twice":        {"commonName=a%2Bb%2540", "commonName=a+b%40"},
		"Ruby 2.5, escaped twice":    {"commonName=a%2Bb~", "commonName=a+b~"},
		"Java":                       {"b*=%7E*&c=+", "c=+&b%2A=~*"},
		".NET":                       {"n=%c3%b1+%7e!*()", "n=%C3%B1+~%21%2A%28%29"},
		"Node":                       {"n=%C3%B1%20~!*'()", "n=%C3%B1+~!*'()"},
		"sent as signed, unparsable": {"n=%zz", "n=%zz"},
	} {
		r := SignedRequest{Method: "POST", Path: path, Date: date, Body: c.body,
			Signature: signature(secret, "POST\n"+date+"\n\n"+path+"\n"+c.signed)}
		if !r.Verify(secret) {
			t.Errorf("%s is refused", name)
		}
		if r.Body += "&x=y"; r.Verify(secret) {
			t.Errorf("%s: another body goes through", name)
		}
	}
}

// One row writes values as they are: its signature of one value must not serve two parameters, nor the reverse.
func TestVerifyBodyOfAnotherMeaning(t *testing.T) {
	secret, path, date := strings.Repeat("k", SecretLength), "/api/3.0/operation/x", "2025-03-09 07:05:03"
	for signed, body := range map[string]string{
		"a=1&b=2":     "a=1%26b%3D2",
		"name=x=y":    "name%3Dx=y",
		"a=1&a=2":     "a=1%26a%3D2",
		"a=1%26b%3D2": "a=1&b=2",
	} {
		r := SignedRequest{Method: "POST", Path: path, Date: date, Body: body,
			Signature: signature(secret, "POST\n"+date+"\n\n"+path+"\n"+signed)}
		if r.Verify(secret) {
			t.Errorf("the signature of %q serves %q", signed, body)
		}
	}
}
