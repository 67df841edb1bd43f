package testbed

import (
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Syslog is what reached /dev/log on the isolated machine.
type Syslog struct {
	socket *net.UnixConn
	mu     sync.Mutex
	lines  []string
}

// ListenSyslog takes the place of a syslog daemon. Only for work that Isolate runs.
func ListenSyslog() (*Syslog, error) {
	// A new network namespace lets ten lines wait, and who writes to a full queue does without.
	if err := os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("512"), 0); err != nil {
		return nil, err
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod("/dev/log", 0o666); err != nil {
		return nil, err
	}
	l := &Syslog{socket: socket}
	go l.read()
	return l, nil
}

func (l *Syslog) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.socket.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.lines = append(l.lines, strings.TrimRight(string(buffer[:n]), "\n\x00"))
		l.mu.Unlock()
	}
}

// Lines returns every line so far that holds all the given texts.
func (l *Syslog) Lines(texts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		if holdsAll(line, texts) {
			found = append(found, line)
		}
	}
	return found
}

// Await returns the lines as soon as there is one, or none after two seconds: a log line may arrive a little later than
// the verdict that it tells of.
func (l *Syslog) Await(texts ...string) []string {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if found := l.Lines(texts...); len(found) > 0 {
			return found
		}
	}
	return nil
}

func holdsAll(line string, texts []string) bool {
	for _, text := range texts {
		if !strings.Contains(line, text) {
			return false
		}
	}
	return true
}
