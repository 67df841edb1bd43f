package latchtest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// on and off are the answers of a server with nothing wrong.
const (
	on  = `{"data":{"operations":{"` + AppID + `":{"status":"on"}}}}`
	off = `{"data":{"operations":{"` + AppID + `":{"status":"off"}}}}`
)

// node is an answer whose node holds these members.
func node(members string) string {
	return `{"data":{"operations":{"` + AppID + `":{` + members + `}}}}`
}

// answer sends HTTP status 200 with a body.
func answer(c net.Conn, body string, headers ...string) { reply(c, http.StatusOK, body, headers...) }

// reply sends a whole answer. Writing errors are of no interest: the client may have left.
func reply(c net.Conn, status int, body string, headers ...string) {
	headers = append(headers, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	send(c, fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n%s", status, http.StatusText(status), strings.Join(headers, "\r\n"), body))
}

func send(c net.Conn, text string) { _, _ = c.Write([]byte(text)) }

// body is a fault whose answer has status 200 and this text.
func body(text string) fault {
	return fault{answer: func(_ *Server, c net.Conn, _ int) { answer(c, text) }}
}

// status is a fault whose answer says "on" under another HTTP status.
func status(code int, headers ...string) fault {
	return fault{answer: func(_ *Server, c net.Conn, _ int) { reply(c, code, on, headers...) }}
}

// first puts the first request off and answers the others as rest does.
func first(code int, rest fault, headers ...string) fault {
	return fault{answer: func(s *Server, c net.Conn, n int) {
		if n == 1 {
			reply(c, code, on, headers...)
			return
		}
		rest.answer(s, c, n)
	}}
}

// redirect sends the client to the trap.
func redirect(code int) fault {
	return fault{answer: func(s *Server, c net.Conn, _ int) {
		reply(c, code, on, "Location: https://"+s.trap.Addr().String()+"/api/1.3/status/x")
	}}
}

// statusFaults are HTTP statuses that are no answer, whatever the body says.
func statusFaults() map[string]fault {
	m := map[string]fault{
		"none":                         body(on),
		"none, closed":                 body(off),
		"429 then good":                first(429, body(on), "Retry-After: 1"),
		"429 without Retry-After":      status(429),
		"429 Retry-After past the end": status(429, "Retry-After: 3000"),
		"429 Retry-After a date":       status(429, "Retry-After: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)),
		"429 Retry-After nonsense":     status(429, "Retry-After: -9223372036854775809"),
		"429 then 503":                 first(429, status(503)),
		"429 then hangs up":            first(429, text("")),
		"429 then never answers":       first(429, stalled("")),
		"429 with a body that stalls":  stalled("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 9\r\n\r\n{"),
		"503 then good":                first(503, body(on)),
		"503 then never answers":       first(503, stalled("")),
		"503 with a body that stalls":  stalled("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\n{"),
		"503 always":                   status(503),
		"302 with a body that stalls":  stalled("HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 9\r\n\r\n{"),
		"403 with a body that stalls":  stalled("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n{"),
		"500 with a body that stalls":  stalled("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 9\r\n\r\n{"),
		"100 in a flood":               {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, "", "HTTP/1.1 100 Continue\r\n\r\n") }},
		"103 in a flood":               {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") }},
		"204 no content":               {answer: func(_ *Server, c net.Conn, _ int) { send(c, "HTTP/1.1 204 No Content\r\n\r\n") }},
		"100 for ever":                 {answer: continueForEver},
		"999":                          status(999),
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		m[fmt.Sprintf("%d to elsewhere", code)] = redirect(code)
	}
	for _, code := range []int{300, 304, 400, 401, 403, 404, 407, 408, 413, 418, 425, 451, 500, 502, 504, 511} {
		m[fmt.Sprint(code)] = status(code)
	}
	return m
}

func continueForEver(s *Server, c net.Conn, _ int) {
	for n := 1; s.sleep(time.Second / 4); n++ {
		if _, err := c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return
		}
		if n == 3 {
			s.stall()
		}
	}
}

// contentFaults are answers of status 200 that do not say "on", however near they come.
func contentFaults() map[string]fault {
	m := map[string]fault{}
	for name, text := range map[string]string{
		"empty":              "",
		"null":               "null",
		"not JSON":           "<html>on</html>",
		"text":               `"on"`,
		"list":               "[" + on + "]",
		"object cut short":   on[:len(on)-1],
		"trailing object":    on + off,
		"trailing text":      on + "x",
		"byte order mark":    "\ufeff" + on,
		"nested too deep":    `{"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		"empty object":       "{}",
		"data null":          `{"data":null}`,
		"data list":          `{"data":[]}`,
		"data twice":         `{"data":{},` + on[1:],
		"data in capitals":   strings.Replace(on, "data", "DATA", 1),
		"no operations":      `{"data":{}}`,
		"operations twice":   `{"data":{"operations":{},` + on[len(`{"data":{`):],
		"a name that is NaN": `{"x":NaN,` + on[1:],
		"operations null":    `{"data":{"operations":null}}`,
		"operations list":    `{"data":{"operations":["` + AppID + `"]}}`,
		"no node":            `{"data":{"operations":{}}}`,
		"node null":          `{"data":{"operations":{"` + AppID + `":null}}}`,
		"node a text":        `{"data":{"operations":{"` + AppID + `":"on"}}}`,
		"another node":       `{"data":{"operations":{"` + OperationID + `":{"status":"on"}}}}`,
		"node as a child":    `{"data":{"operations":{"` + OperationID + `":{"status":"on","operations":{"` + AppID + `":{"status":"on"}}}}}}`,
		"node twice":         `{"data":{"operations":{"` + AppID + `":{"status":"off"},"` + AppID + `":{"status":"on"}}}}`,
		"node in lower case": strings.ToLower(on),
	} {
		m["body: "+name] = body(text)
	}
	for name, members := range map[string]string{
		"missing":         "",
		"null":            `"status":null`,
		"true":            `"status":true`,
		"a number":        `"status":1`,
		"a list":          `"status":["on"]`,
		"an object":       `"status":{"on":"on"}`,
		"ON":              `"status":"ON"`,
		"with a blank":    `"status":"on "`,
		"open":            `"status":"open"`,
		"empty":           `"status":""`,
		"in capitals":     `"STATUS":"on"`,
		"with a capital":  `"Status":"on"`,
		"NaN":             `"status":NaN`,
		"one level below": `"x":{"status":"on"}`,
		"twice":           `"status":"on","status":"off"`,
		"twice, on last":  `"status":"off","status":"on"`,
		"long s":          `"ſtatus":"on"`,
		"off, child open": `"status":"off","operations":{"` + OperationID + `":{"status":"on"}}`,
	} {
		m["status: "+name] = body(node(members))
	}
	return m
}

// tokenFaults are one-time tokens of another form. A login that asks for none must not care, one that does must.
func tokenFaults() map[string]fault {
	m := map[string]fault{}
	for name, value := range map[string]string{
		"null":             "null", // as good as none
		"text":             `"g4K9wz"`,
		"empty object":     "{}",
		"token null":       `{"token":null,"generated":1}`,
		"token empty":      `{"token":"","generated":1}`,
		"token too long":   `{"token":"g4K9wz2","generated":1}`,
		"token no letters": `{"token":"g4K9w\n","generated":1}`,
		"token a number":   `{"token":123456,"generated":1}`,
		"token twice":      `{"token":"g4K9wz","token":"g4K9wy","generated":1}`,
		"no time":          `{"token":"g4K9wz"}`,
		"time a text":      `{"token":"g4K9wz","generated":"1"}`,
		"time null":        `{"token":"g4K9wz","generated":null}`,
	} {
		m["two_factor: "+name] = body(node(`"status":"on","two_factor":` + value))
	}
	m["two_factor: text beside off"] = body(node(`"status":"off","two_factor":"g4K9wz"`))
	m["two_factor: good"] = goodToken(0)
	m["two_factor: good, clock ahead"] = goodToken(Ahead)
	m["two_factor: good, clock behind"] = goodToken(-Ahead)
	return m
}

// goodToken is from a server whose clock is ahead of this machine's.
func goodToken(ahead time.Duration) fault {
	return fault{answer: func(_ *Server, c net.Conn, _ int) {
		now := time.Now().Add(ahead)
		answer(c, node(fmt.Sprintf(`"status":"on","two_factor":{"token":"%s","generated":%d}`, Token, now.UnixMilli())),
			"Date: "+now.UTC().Format(http.TimeFormat))
	}}
}

// errorFaults are the service's own error objects, which count whatever data stands beside them.
func errorFaults() map[string]fault {
	m := map[string]fault{
		"error 109 then good":    {answer: clockError(1)},
		"error 109 always":       {answer: clockError(1 << 30)},
		"error 109 without Date": body(`{"error":{"code":109,"message":"m"}}`),
		"error null":             body(`{"error":null,` + on[1:]),
	}
	for name, object := range map[string]string{
		"101":                `{"code":101,"message":"m"}`,
		"102":                `{"code":102,"message":"Invalid application signature"}`,
		"201":                `{"code":201,"message":"Account not paired"}`,
		"301":                `{"code":301,"message":"m"}`,
		"701":                `{"code":701,"message":"m"}`,
		"999":                `{"code":999,"message":"m"}`,
		"0":                  `{"code":0,"message":""}`,
		"106":                `{"code":106,"message":"Outdated client version"}`,
		"as text":            `"201"`,
		"as number":          `201`,
		"empty":              `{}`,
		"false":              `false`,
		"list":               `[{"code":201}]`,
		"code as text":       `{"code":"201","message":"m"}`,
		"code as fraction":   `{"code":201.5,"message":"m"}`,
		"code in capitals":   `{"CODE":201,"message":"m"}`,
		"code twice":         `{"code":102,"code":201,"message":"m"}`,
		"message of bytes":   "{\"code\":102,\"message\":\"\\u0000\\r\\n\xff\"}",
		"201 with long text": `{"code":201,"message":"` + strings.Repeat("m", 5000) + `"}`,
	} {
		m["error "+name] = body(`{"error":` + object + `}`)
		m["error "+name+" beside on"] = body(on[:len(on)-1] + `,"error":` + object + `}`)
	}
	return m
}

// clockError refuses the date of the first requests and says what time it is.
func clockError(times int) func(*Server, net.Conn, int) {
	return func(_ *Server, c net.Conn, n int) {
		date := "Date: " + time.Now().Add(Ahead).UTC().Format(http.TimeFormat)
		if n <= times {
			answer(c, `{"error":{"code":109,"message":"Request expired, date is too old"}}`, date)
			return
		}
		answer(c, on, date)
	}
}
