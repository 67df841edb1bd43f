package httpapi

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// pagesBed is a server with pages on a real TLS connection; handler answers what is not the API, more changes the options.
func (b *bed) pagesBed(handler http.Handler, more ...func(*Options)) (address string) {
	b.t.Helper()
	conf, err := SelfSigned(b.t.TempDir(), []string{"127.0.0.1"}, b.now)
	b.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	o := Options{Store: b.store, Now: b.now, Pages: handler}
	for _, change := range more {
		change(&o)
	}
	ctx, stop := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- New(o).Serve(ctx, l, conf) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	return l.Addr().String()
}

func http2Client(t *testing.T) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// TestPagesSpeakHTTP2AndTheAPIStaysAsItIs: whatever the protocol, what is under /api/ is the API's.
func TestPagesSpeakHTTP2AndTheAPIStaysAsItIs(t *testing.T) {
	b := newBed(t)
	address := b.pagesBed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page by "+r.Proto) }))
	client := http2Client(t)
	for path, want := range map[string]string{"/": "page by HTTP/2.0", "/api": "page by HTTP/2.0", "/api/1.3/operation": `"code":103`, "/api/nothing": "{}"} {
		resp, err := client.Get("https://" + address + path)
		b.must(err)
		body, err := io.ReadAll(resp.Body)
		b.must(err)
		resp.Body.Close()
		if !strings.Contains(string(body), want) || resp.ProtoMajor != 2 {
			t.Errorf("%s by %s: %s", path, resp.Proto, body)
		}
	}
	resp, err := client.Head("https://" + address + "/api/1.3/operation")
	b.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD of the API: %s", resp.Status)
	}
}

// TestOneBodyAtATime: a client that sends bodies on many streams of one connection has one of them looked at.
func TestOneBodyAtATime(t *testing.T) {
	b := newBed(t)
	var mu sync.Mutex
	var now, most int
	address := b.pagesBed(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond) // for another to come in, if one may
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		now--
		mu.Unlock()
	}))
	client := http2Client(t)
	if resp, err := client.Get("https://" + address + "/"); err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range maxStreams {
		all.Go(func() {
			resp, err := client.Post("https://"+address+"/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d bodies at a time", most)
	}
}

// TestAFewConnectionsSpeakHTTP2: beyond the share newcomers get HTTP/1.1, until one goes.
func TestAFewConnectionsSpeakHTTP2(t *testing.T) {
	b := newBed(t)
	conf, err := SelfSigned(t.TempDir(), []string{"127.0.0.1"}, b.now)
	b.must(err)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	l := limitConnections(plain, 16, b.server.log) // two of them
	defer l.Close()
	conf = l.negotiate(conf)
	conf.NextProtos = append(conf.NextProtos, "h2", "http/1.1") // as http.Server does
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(io.Discard, tls.Server(c, conf))
			}()
		}
	}()
	dial := func() (*tls.Conn, string) {
		c, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		b.must(err)
		t.Cleanup(func() { c.Close() })
		return c, c.ConnectionState().NegotiatedProtocol
	}
	first, one := dial()
	_, two := dial()
	_, three := dial()
	if got := []string{one, two, three}; got[0] != "h2" || got[1] != "h2" || got[2] != "http/1.1" {
		t.Fatalf("negotiated %q", got)
	}
	first.Close()
	eventually(func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.http2 == 1 }) // one that has gone is not counted
	if _, four := dial(); four != "h2" {
		t.Errorf("after one has gone: %s", four)
	}
}
