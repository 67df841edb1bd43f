package httpapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"time"
)

// Limits of HTTP/2, which browsers need: they open six connections of HTTP/1.1 to a server, and each page that is kept
// open holds one. Whoever floods must not gain by it: one connection has few requests, of which one at a time has a body
// in memory, and beyond one connection in eight newcomers are offered HTTP/1.1 alone, with which every page works too.
const (
	maxStreams       = 16
	maxWindow        = 64 << 10 // what a client may send ahead, in bytes, per connection
	maxFrame         = 16 << 10
	maxHeaderTable   = 4 << 10
	pingAfter        = time.Minute
	pingTimeout      = 15 * time.Second
	writeByteTimeout = 30 * time.Second
)

func http2Limits() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxDecoderHeaderTableSize:     maxHeaderTable,
		MaxEncoderHeaderTableSize:     maxHeaderTable,
		MaxReadFrameSize:              maxFrame,
		MaxReceiveBufferPerConnection: maxWindow,
		MaxReceiveBufferPerStream:     maxWindow,
		SendPingTimeout:               pingAfter,
		PingTimeout:                   pingTimeout,
		WriteByteTimeout:              writeByteTimeout,
	}
}

// negotiate returns conf with HTTP/2 for as many connections as the listener has room for.
func (l *limitedListener) negotiate(conf *tls.Config) *tls.Config {
	both, one := conf.Clone(), conf.Clone()
	one.NextProtos = append(slices.Clone(conf.NextProtos), "http/1.1") // with ACME's challenge, if conf has it
	both.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c := counted(hello.Conn); c != nil && l.takeHTTP2(c) {
			return nil, nil
		}
		return one, nil
	}
	return both
}

// takeHTTP2 counts a connection that may speak HTTP/2, and tells whether there was room.
func (l *limitedListener) takeHTTP2(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == nil || l.http2 >= l.share() {
		return false
	}
	c.http2 = true
	l.http2++
	return true
}

// bodySlot is the key of what a connection of HTTP/2 has one of.
type bodySlot struct{}

func withBodySlot(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, bodySlot{}, make(chan struct{}, 1))
}

// oneBody lets one request with a body at a time through on each connection of HTTP/2. The others wait with theirs
// in the connection's window, until their time to be read is over.
func oneBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slot, ok := r.Context().Value(bodySlot{}).(chan struct{})
		if !ok || r.ProtoMajor < 2 || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case slot <- struct{}{}:
			defer func() { <-slot }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}
