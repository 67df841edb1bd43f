package client

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/client/latchtest"
)

// faultTable says of each fault what a login without a code makes of it, and how many requests reach the server: one
// that may have been read is never repeated, but for 429 and 503, and for 109 with its date. The last word is of faults that
// nothing but the deadline ends; of all others the answer stands at once.
const faultTable = `
100 for ever                         no-answer        1  deadline
100 in a flood                       wrong-answer     1
103 in a flood                       wrong-answer     1
204 no content                       wrong-answer     1
300                                  error-answer     1
301 to elsewhere                     error-answer     1
302 to elsewhere                     error-answer     1
302 with a body that stalls          error-answer     1
303 to elsewhere                     error-answer     1
304                                  error-answer     1
307 to elsewhere                     error-answer     1
308 to elsewhere                     error-answer     1
400                                  error-answer     1
401                                  error-answer     1
403                                  error-answer     1
403 with a body that stalls          error-answer     1
404                                  error-answer     1
407                                  error-answer     1
408                                  error-answer     1
413                                  error-answer     1
418                                  error-answer     1
425                                  error-answer     1
429 Retry-After a date               error-answer     1
429 Retry-After nonsense             error-answer     3
429 Retry-After past the end         error-answer     1
429 then 503                         error-answer     3
429 then good                        open             2
429 then hangs up                    error-answer     2
429 then never answers               error-answer     2  deadline
429 with a body that stalls          error-answer     1  deadline
429 without Retry-After              error-answer     3
451                                  error-answer     1
500                                  no-answer        1
500 with a body that stalls          no-answer        1
502                                  no-answer        1
503 always                           no-answer        3
503 then good                        open             2
503 then never answers               no-answer        2  deadline
503 with a body that stalls          no-answer        1  deadline
504                                  no-answer        1
511                                  no-answer        1
999                                  error-answer     1

body: a name that is NaN             wrong-answer     1
body: another node                   wrong-answer     1
body: byte order mark                wrong-answer     1
body: data in capitals               wrong-answer     1
body: data list                      wrong-answer     1
body: data null                      wrong-answer     1
body: data twice                     wrong-answer     1
body: empty                          wrong-answer     1
body: empty object                   wrong-answer     1
body: list                           wrong-answer     1
body: nested too deep                wrong-answer     1
body: no node                        wrong-answer     1
body: no operations                  wrong-answer     1
body: node a text                    wrong-answer     1
body: node as a child                wrong-answer     1
body: node in lower case             wrong-answer     1
body: node null                      wrong-answer     1
body: node twice                     wrong-answer     1
body: not JSON                       wrong-answer     1
body: null                           wrong-answer     1
body: object cut short               wrong-answer     1
body: operations list                wrong-answer     1
body: operations null                wrong-answer     1
body: operations twice               wrong-answer     1
body: text                           wrong-answer     1
body: trailing object                wrong-answer     1
body: trailing text                  wrong-answer     1

connect: closes                      no-answer        0
connect: refused                     no-answer        0
connect: resets                      no-answer        0
connect: silent                      no-answer        0  deadline
connect: unheard                     no-answer        0  deadline

error 0                              error-answer     1
error 0 beside on                    error-answer     1
error 101                            error-answer     1
error 101 beside on                  error-answer     1
error 102                            error-answer     1
error 102 beside on                  error-answer     1
error 106                            error-answer     1
error 106 beside on                  error-answer     1
error 109 always                     error-answer     2
error 109 then good                  open             2
error 109 without Date               error-answer     1
error 201                            not-paired       1
error 201 beside on                  not-paired       1
error 201 with long text             not-paired       1
error 201 with long text beside on   not-paired       1
error 301                            error-answer     1
error 301 beside on                  error-answer     1
error 701                            error-answer     1
error 701 beside on                  error-answer     1
error 999                            error-answer     1
error 999 beside on                  error-answer     1
error as number                      error-answer     1
error as number beside on            error-answer     1
error as text                        error-answer     1
error as text beside on              error-answer     1
error code as fraction               error-answer     1
error code as fraction beside on     error-answer     1
error code as text                   error-answer     1
error code as text beside on         error-answer     1
error code in capitals               error-answer     1
error code in capitals beside on     error-answer     1
error code twice                     error-answer     1
error code twice beside on           error-answer     1
error empty                          error-answer     1
error empty beside on                error-answer     1
error false                          error-answer     1
error false beside on                error-answer     1
error list                           error-answer     1
error list beside on                 error-answer     1
error message of bytes               error-answer     1
error message of bytes beside on     error-answer     1
error null                           open             1

none                                 open             1
none, closed                         closed           1

status: NaN                          wrong-answer     1
status: ON                           wrong-answer     1
status: a list                       wrong-answer     1
status: a number                     wrong-answer     1
status: an object                    wrong-answer     1
status: empty                        wrong-answer     1
status: in capitals                  wrong-answer     1
status: long s                       wrong-answer     1
status: missing                      wrong-answer     1
status: null                         wrong-answer     1
status: off, child open              closed           1
status: one level below              wrong-answer     1
status: open                         wrong-answer     1
status: true                         wrong-answer     1
status: twice                        wrong-answer     1
status: twice, on last               wrong-answer     1
status: with a blank                 wrong-answer     1
status: with a capital               wrong-answer     1

tls: 1.1 at most                     wrong-answer     0
tls: CA of that name                 bad-certificate  0
tls: alert                           wrong-answer     0
tls: chain                           open             1
tls: chain cut short                 bad-certificate  0
tls: expired                         bad-certificate  0
tls: for clients                     bad-certificate  0
tls: garbage                         wrong-answer     0
tls: issuer expired                  bad-certificate  0
tls: issuer no CA                    bad-certificate  0
tls: no name                         bad-certificate  0
tls: not TLS                         wrong-answer     0
tls: not yet valid                   bad-certificate  0
tls: only a name                     bad-certificate  0
tls: other addresses                 bad-certificate  0
tls: self-signed                     bad-certificate  0
tls: unknown CA                      bad-certificate  0
tls: wrong address                   bad-certificate  0

two_factor: empty object             open             1
two_factor: good                     open             1
two_factor: good, clock ahead        open             1
two_factor: good, clock behind       open             1
two_factor: no time                  open             1
two_factor: null                     open             1
two_factor: text                     open             1
two_factor: text beside off          closed           1
two_factor: time a text              open             1
two_factor: time null                open             1
two_factor: token a number           open             1
two_factor: token empty              open             1
two_factor: token no letters         open             1
two_factor: token null               open             1
two_factor: token too long           open             1
two_factor: token twice              open             1

wire: HTTP/1.0                       open             1
wire: HTTP/1.0 closed                closed           1
wire: HTTP/1.0 cut short             wrong-answer     1
wire: HTTP/2                         wrong-answer     1
wire: HTTP/9                         wrong-answer     1
wire: SSH banner                     wrong-answer     1
wire: body cut short                 wrong-answer     1
wire: body cut, still JSON           wrong-answer     1
wire: body far too large             wrong-answer     1
wire: body of 64 KiB                 open             1
wire: body of a byte more            wrong-answer     1
wire: body too large                 wrong-answer     1
wire: chunk garbage                  wrong-answer     1
wire: closes after request           no-answer        1
wire: compressed                     wrong-answer     1
wire: endless body                   wrong-answer     1
wire: endless chunks                 wrong-answer     1
wire: endless header line            wrong-answer     1
wire: endless headers                wrong-answer     1
wire: endless trailer                wrong-answer     1
wire: garbage                        wrong-answer     1
wire: headers cut short              wrong-answer     1
wire: last chunk missing             wrong-answer     1
wire: never answers                  no-answer        1  deadline
wire: no HTTP                        wrong-answer     1
wire: resets after request           no-answer        1
wire: slow body                      no-answer        1  deadline
wire: slow headers                   no-answer        1  deadline
wire: stalls behind JSON             no-answer        1  deadline
wire: stalls in body                 no-answer        1  deadline
wire: stalls in headers              no-answer        1  deadline
wire: stalls in trailer              no-answer        1  deadline
wire: status line cut short          wrong-answer     1
wire: switches protocols             error-answer     1
wire: trailer                        open             1
wire: two lengths                    wrong-answer     1
wire: unknown encoding               wrong-answer     1
`

// expectation is a line of faultTable.
type expectation struct {
	word     string
	requests int
	deadline bool
}

func expectations(t *testing.T) map[string]expectation {
	t.Helper()
	table := map[string]expectation{}
	for line := range strings.Lines(faultTable) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		last := len(fields) - 1
		deadline := fields[last] == "deadline"
		if deadline {
			fields = fields[:last]
		}
		n, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil || len(fields) < 3 {
			t.Fatalf("the table's line %q: %v", line, err)
		}
		name := strings.Join(fields[:len(fields)-2], " ")
		if _, twice := table[name]; twice {
			t.Fatalf("%q stands twice in the table", name)
		}
		table[name] = expectation{fields[len(fields)-2], n, deadline}
	}
	return table
}

// stalling is the context of a call whose deadline passes while the client waits for a server that never ends.
func stalling(t *testing.T, c *Client, s *latchtest.Server) context.Context {
	t.Helper()
	if s.Fault != "connect: unheard" {
		return untilSilent(t, c, s.Stalled())
	}
	event, happen := newEvent() // the server sees nothing of it
	return httptrace.WithClientTrace(untilSilent(t, c, event), &httptrace.ClientTrace{ConnectStart: func(string, string) { happen() }})
}

func TestFaults(t *testing.T) {
	table := expectations(t)
	for _, name := range latchtest.Names() {
		want, stated := table[name]
		if !stated {
			t.Errorf("the table says nothing of %q", name)
			continue
		}
		delete(table, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, name)
			c := clientFor(t, s)
			ctx := context.Context(deadlineAt(nil))
			if want.deadline {
				ctx = stalling(t, c, s)
			}
			status, err := askIn(ctx, c)
			if got := word(status, err); got != want.word {
				t.Errorf("%s, want %s; %v", got, want.word, err)
			}
			if s.Requests() != want.requests {
				t.Errorf("%d requests reached the server, want %d", s.Requests(), want.requests)
			}
			if s.Trapped() != 0 {
				t.Errorf("followed a redirect")
			}
			if text := fmt.Sprint(err); strings.Contains(text, latchtest.AccountID) || strings.Contains(text, latchtest.Secret) {
				t.Errorf("the error tells a secret: %s", text)
			}
		})
	}
	for name := range table {
		t.Errorf("the table has %q, which is no fault", name)
	}
}

// TestTokens: where a code will be asked for, "on" beside a token of another form is a wrong answer.
func TestTokens(t *testing.T) {
	good := map[string]string{"good": "open", "good, clock ahead": "open", "good, clock behind": "open", "null": "open", "text beside off": "closed"}
	for _, name := range latchtest.Names() {
		what, found := strings.CutPrefix(name, "two_factor: ")
		if !found {
			continue
		}
		want := good[what]
		if want == "" {
			want = "wrong-answer"
		}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := clientFor(t, start(t, name))
			begin := time.Now()
			status, err := c.Status(t.Context(), Query{AccountID: latchtest.AccountID})
			if got := word(status, err); got != want {
				t.Errorf("%s, want %s; %v", got, want, err)
			}
			token := ""
			if strings.HasPrefix(what, "good") {
				token = latchtest.Token
			}
			if status.Token != token {
				t.Errorf("the token is %q", status.Token)
			}
			// Whatever the server's clock says, it was made during the call. HTTP dates have whole seconds.
			const second = 2 * time.Second
			if made := status.TokenTime; token != "" && (made.Before(begin.Add(-second)) || made.After(time.Now().Add(second))) {
				t.Errorf("asked at %v, the token is of %v", begin, made)
			}
		})
	}
}
