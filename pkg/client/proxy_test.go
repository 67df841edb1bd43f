package client

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// connectProxy is an HTTP CONNECT proxy that answers with a text; after "200" it connects where it was asked to,
// or to another place.
type connectProxy struct {
	listener   net.Listener
	answer     string
	elsewhere  string
	asked      atomic.Pointer[http.Request]
	silent     <-chan struct{} // closed when it has been asked and says nothing
	fallSilent func()
	open       sync.WaitGroup
}

func startProxy(t *testing.T, answer, elsewhere string) (*connectProxy, *url.URL) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{listener: l, answer: answer, elsewhere: elsewhere}
	p.silent, p.fallSilent = newEvent()
	p.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.open.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.open.Wait() })
	return p, &url.URL{Scheme: "http", Host: l.Addr().String()}
}

func (p *connectProxy) serve(c net.Conn) {
	defer c.Close()
	request, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	p.asked.Store(request)
	if p.answer == "silence" {
		p.fallSilent()
		_, _ = c.Read(make([]byte, 1))
		return
	}
	if _, err := c.Write([]byte(p.answer)); err != nil || !strings.HasPrefix(p.answer, "HTTP/1.1 200 ") {
		return
	}
	target := request.Host
	if p.elsewhere != "" {
		target = p.elsewhere
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	p.open.Go(func() { _, _ = io.Copy(server, c); server.Close() })
	_, _ = io.Copy(c, server)
}

// TestProxy: the proxy of latch.conf is used, trusted with nothing, and its own failures are judged as the server's.
func TestProxy(t *testing.T) {
	stranger := start(t, "none")
	head := func(status string) string { return "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n" }
	for name, c := range map[string]struct{ answer, elsewhere, fault, word string }{
		"connects":             {answer: head("200 OK"), word: "open"},
		"connects to another":  {answer: head("200 OK"), elsewhere: stranger.URL.Host, word: "bad-certificate"},
		"connects to nobody":   {answer: head("200 OK"), elsewhere: "127.0.0.1:1", word: "no-answer"},
		"connects to silence":  {answer: head("200 OK"), fault: "wire: never answers", word: "no-answer"},
		"wants a password":     {answer: head("407 Proxy Authentication Required"), word: "error-answer"},
		"forbids":              {answer: head("403 Forbidden"), word: "error-answer"},
		"redirects":            {answer: head("302 Found"), word: "error-answer"},
		"says 201":             {answer: head("201 Created"), word: "error-answer"},
		"reaches nobody":       {answer: head("502 Bad Gateway"), word: "no-answer"},
		"is down":              {answer: head("503 Service Unavailable"), word: "no-answer"},
		"waits in vain":        {answer: head("504 Gateway Timeout"), word: "no-answer"},
		"talks nonsense":       {answer: "nonsense\r\n\r\n", word: "wrong-answer"},
		"sends endless header": {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), word: "no-answer"},
		"hangs up":             {answer: "", word: "no-answer"},
		"is silent":            {answer: "silence", word: "no-answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.fault)
			proxy, address := startProxy(t, c.answer, c.elsewhere)
			o := optionsFor(t, s)
			o.Proxy = address
			event := proxy.silent
			if c.fault != "" {
				event = s.Stalled()
			}
			client := clientOf(t, o)
			status, err := askIn(untilSilent(t, client, event), client)
			if got := word(status, err); got != c.word {
				t.Errorf("%s, want %s; %v", got, c.word, err)
			}
			asked := proxy.asked.Load()
			if asked == nil || asked.Method != http.MethodConnect || asked.Host != s.URL.Host || asked.Header.Get("Authorization") != "" {
				t.Errorf("the proxy was asked %+v", asked)
			}
		})
	}
	t.Run("refuses", func(t *testing.T) {
		s := start(t, "none")
		o := optionsFor(t, s)
		o.Proxy = start(t, "connect: refused").URL
		o.Proxy.Scheme = "http"
		if status, err := ask(clientOf(t, o)); word(status, err) != "no-answer" || s.Connections() != 0 {
			t.Errorf("%s after %d connections: %v", word(status, err), s.Connections(), err)
		}
	})
}
