package openvpn

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// The addresses of the client's end and of the server's, of a line between two network namespaces.
const nearAddress, farAddress = "10.99.0.1", "10.99.0.2"

// far is the network namespace of a client on another machine.
const far = "far"

var inFar = []string{"ip", "netns", "exec", far}

// layLine makes the client's machine and a line to it, for the time of a test.
func layLine(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"netns", "add", far}, {"link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", far},
		{"addr", "add", nearAddress + "/24", "dev", "near0"}, {"link", "set", "near0", "up"},
		{"-n", far, "addr", "add", farAddress + "/24", "dev", "far0"}, {"-n", far, "link", "set", "far0", "up"}, {"-n", far, "link", "set", "lo", "up"}} {
		if err := run("ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := run("ip", "netns", "delete", far); err != nil {
			t.Error(err)
		}
	})
}

// slow stands before the Latch server and keeps what hosts ask until it is released. It sees no text: the line is TLS.
type slow struct {
	url      string
	asked    chan struct{} // a host has come
	released chan struct{}
	release  func()
}

func startSlow(t *testing.T) *slow {
	t.Helper()
	server, err := url.Parse(bed.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{url: "https://" + listener.Addr().String(), asked: make(chan struct{}, 100), released: make(chan struct{})}
	s.release = sync.OnceFunc(func() { close(s.released) })
	t.Cleanup(func() { s.release(); listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go s.relay(c, server.Host)
		}
	}()
	return s
}

func (s *slow) relay(c net.Conn, server string) {
	defer c.Close()
	s.asked <- struct{}{}
	<-s.released
	back, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer back.Close()
	go func() { _, _ = io.Copy(back, c); back.Close() }()
	_, _ = io.Copy(c, back)
}

// greet answers every connection that comes through the tunnel with a line. It returns the port.
func greet(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "10.8.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello\n")
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// reaches reports whether the client's machine gets an answer through the tunnel within a time.
func reaches(port string, within time.Duration) bool {
	args := append(inFar[1:], "timeout", fmt.Sprint(within.Seconds()), "bash", "-c", "read -r line </dev/tcp/10.8.0.1/"+port)
	return exec.Command(inFar[0], args...).Run() == nil
}

// TestTrafficFlowsWhileALoginWaits keeps a login waiting for the Latch server, and sends packets through another client's
// tunnel meanwhile. Without the variable that latch install sets there is no traffic in that time.
func TestTrafficFlowsWhileALoginWaits(t *testing.T) {
	layLine(t)
	for name, flows := range map[string]bool{"deferred": true, "as OpenVPN does by default": false} {
		t.Run(name, func(t *testing.T) {
			s := startSlow(t)
			v := startVPN(t, setting{address: nearAddress, edit: func(text string) string {
				if flows {
					return text
				}
				return strings.Replace(text, "setenv deferred_auth_pam", "setenv another_variable", 1)
			}})
			tunnel := v.dialFrom(t, inFar, bob, fixture.Password, "--dev", "tun")
			port := greet(t)
			if tunnel.await(clientIn, authFailed) != clientIn || !reaches(port, fixture.Patience) {
				t.Fatalf("no tunnel:\n%s", tunnel.text())
			}
			if bed.log.Await("latch-auth", `user="bob"`, `rhost="`+farAddress+`"`) == nil {
				t.Error("the log does not say where the client is")
			}
			configure(t, bed.conf.With("latch_host", s.url).With("timeout", "90"))
			login := v.dial(t, ana, fixture.Password)
			select {
			case <-s.asked:
			case <-time.After(fixture.Patience):
				t.Fatalf("nobody asks:\n%s", v.text())
			}
			if flows {
				for i := range 5 {
					if !reaches(port, fixture.Patience) {
						t.Fatalf("connection %d gets no answer while a login waits", i)
					}
				}
			} else if reaches(port, 3*time.Second) { // many times what an answer takes
				t.Fatal("a connection gets an answer while a login waits")
			}
			s.release()
			if login.await(clientIn, authFailed) != clientIn {
				t.Errorf("the login that waited:\n%s", login.text())
			}
			if !reaches(port, fixture.Patience) {
				t.Error("no traffic afterwards")
			}
		})
	}
}
